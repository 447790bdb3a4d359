// A conversation: its turns, the model that answers, and what is attached to the next question.
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal, type ISignal } from '@lumino/signaling';
import type { IDisposable } from '@lumino/disposable';
import type { Message, Query } from '../protocol';
import { troubleOf } from '../running';
import type { IRealm, IRunning, Part } from '../tokens';

/** Something that goes along with a question. */
export interface IAttachment {
  /** What it is, for a person: a file's name, `cell 3`. */
  name: string;
  /** Words are put into the question, anything else is uploaded. */
  content: string | Blob;
}

/** What an answer took. */
export interface ITook {
  model: string;
  seconds: number;
  micro: number;
}

/** One turn. An answer that is under way grows in `running`. */
export interface ITurn {
  /** Counts the turns of this page: what a list knows it by. */
  number: number;
  role: 'user' | 'assistant';
  parts: ReadonlyArray<Part>;
  /** The query that this answer came from; empty in the user's turns. */
  query: string;
  /** `null` where it has ended. */
  running: IRunning | null;
  took: ITook | null;
  /** Why there is no answer, or not all of it; empty where there is. */
  trouble: string;
}

/** What of a conversation outlives the page. */
export interface IKept {
  model: string;
  turns: {
    role: ITurn['role'];
    parts: Part[];
    query: string;
    trouble: string;
    took?: ITook | null;
  }[];
}

/** The most turns that are sent along with a question, so that a long talk still fits. */
const MAX_TURNS = 40;
/** The most turns that a page has: earlier ones are in the history. */
const MOST = 400;
/** The most turns that outlive the page, and about the most characters of them: it is all sent at each turn. */
const MOST_KEPT = 100;
const MOST_CHARACTERS = 500_000;

export class Conversation implements IDisposable {
  constructor(
    private readonly _realm: IRealm,
    private readonly _trans: TranslationBundle
  ) {}

  get turns(): ReadonlyArray<ITurn> {
    return this._turns;
  }

  get attachments(): ReadonlyArray<IAttachment> {
    return this._attachments;
  }

  get model(): string {
    return this._model;
  }

  set model(name: string) {
    this._model = name;
    this._changed.emit();
  }

  /** What is being written, or was heard, and not sent yet. */
  get prompt(): string {
    return this._prompt;
  }

  set prompt(words: string) {
    if (words !== this._prompt) {
      this._prompt = words;
      this._written.emit(words);
    }
  }

  /** Emitted when the prompt is another. */
  get written(): ISignal<this, string> {
    return this._written;
  }

  /** The answer under way; `null` where there is none. */
  get running(): IRunning | null {
    const last = this._turns[this._turns.length - 1];
    return last?.running && last.running.stage !== 'ended' ? last.running : null;
  }

  /** Emitted when a turn or an attachment comes, goes or ends, and when the model is another. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted with every answer that begins. */
  get asked(): ISignal<this, IRunning> {
    return this._asked;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  attach(attachment: IAttachment): void {
    this._attachments = [...this._attachments, attachment];
    this._changed.emit();
  }

  detach(attachment: IAttachment): void {
    this._attachments = this._attachments.filter(one => one !== attachment);
    this._changed.emit();
  }

  /** Return what would be asked, without what has to be uploaded first. */
  draft(prompt: string): Query {
    return this._query([{ type: 'text', text: this._words(prompt) }]);
  }

  /** Ask, with what is attached. Throws `RealmError` where an attachment is not taken. */
  async send(prompt: string): Promise<IRunning> {
    const parts: Part[] = [{ type: 'text', text: this._words(prompt) }];
    for (const { content } of this._attachments) {
      if (typeof content !== 'string') {
        const blob = await this._realm.upload(content);
        const mime = content.type || 'application/octet-stream';
        const type = mime.startsWith('audio/') ? 'audio' : 'image';
        parts.push({ type, blob, mime });
      }
    }
    const query = this._query(parts);
    this._attachments = [];
    this._add({ ...EMPTY, role: 'user', parts });
    const running = this._realm.ask(query);
    this._await(running);
    this._asked.emit(running);
    return running;
  }

  /** Stop the answer under way; what has come of it stays. */
  stop(): void {
    this.running?.cancel();
  }

  /** Begin afresh. */
  forget(): void {
    this.stop();
    this._turns = [];
    this._attachments = [];
    this._changed.emit();
  }

  /** Return what is worth keeping. */
  keep(): IKept {
    const turns: IKept['turns'] = [];
    let room = MOST_CHARACTERS;
    for (const turn of this._turns.slice(-MOST_KEPT).reverse()) {
      const parts = [...(turn.running?.parts ?? turn.parts)];
      room -= JSON.stringify(parts).length;
      if (room < 0 && turns.length > 0) {
        break; // earlier ones are in the history
      }
      const query = turn.running?.id ?? turn.query;
      turns.unshift({ role: turn.role, parts, query, trouble: turn.trouble, took: turn.took });
    }
    return { model: this._model, turns };
  }

  /** Go on where an earlier page was; an answer that was under way is followed again. */
  restore(kept: IKept): void {
    this._model = kept.model;
    this._turns = [];
    for (const turn of kept.turns) {
      this._add({ ...EMPTY, ...turn });
    }
    const last = kept.turns[kept.turns.length - 1];
    if (last?.query && last.trouble === UNFINISHED) {
      this._turns = this._turns.slice(0, -1);
      this._await(this._realm.follow(last.query));
    }
    this._changed.emit();
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _await(running: IRunning): void {
    const turn = this._add({ ...EMPTY, role: 'assistant', running, trouble: UNFINISHED });
    this._changed.emit();
    // Its name is known from its admission on: from then on a reload can find it again.
    running.changed.connect(this._noted, this);
    void running.done.then(() => {
      running.changed.disconnect(this._noted, this);
      const { parts, id: query } = running;
      const trouble = troubleOf(running, this._trans.__('Stopped.'));
      const ended = { ...turn, running: null, parts, query, trouble, took: tookOf(running) };
      this._turns = this._turns.map(one => (one === turn ? ended : one));
      if (!this._isDisposed) {
        this._changed.emit();
      }
    });
  }

  private _add(turn: Omit<ITurn, 'number'>): ITurn {
    const added = { ...turn, number: this._count++ };
    this._turns = [...this._turns.slice(1 - MOST), added];
    return added;
  }

  private _noted(running: IRunning): void {
    if (running.stage === 'queued') {
      this._changed.emit();
    }
  }

  private _words(prompt: string): string {
    const along = this._attachments
      .filter(one => typeof one.content === 'string')
      .map(one => `${one.name}:\n\`\`\`\n${one.content as string}\n\`\`\``);
    return [prompt.trim(), ...along].filter(Boolean).join('\n\n');
  }

  private _query(parts: Part[]): Query {
    const before: Message[] = this._turns
      .filter(turn => turn.parts.length > 0)
      .slice(-MAX_TURNS)
      .map(turn => ({ role: turn.role, parts: said(turn) }));
    return { model: this._model, messages: [...before, { role: 'user', parts }] };
  }

  private _turns: ITurn[] = [];
  private _count = 0;
  private _attachments: IAttachment[] = [];
  private _model = 'chat';
  private _prompt = '';
  private _written = new Signal<this, string>(this);
  private _changed = new Signal<this, void>(this);
  private _asked = new Signal<this, IRunning>(this);
  private _isDisposed = false;
}

const UNFINISHED = '…';
const EMPTY = { parts: [], query: '', running: null, took: null, trouble: '' };

function tookOf({ end }: IRunning): ITook | null {
  return end?.op === 'settled'
    ? { model: end.model, seconds: end.seconds ?? 0, micro: end.charge.amount_micro ?? 0 }
    : null;
}

/** Return of a turn what a model can be told again: findings and sounds stay behind. */
function said(turn: ITurn): Part[] {
  const told = turn.parts.filter(
    part => part.type === 'text' || (part.type === 'image' && turn.role === 'user')
  );
  return told.length > 0 ? told : [{ type: 'text', text: '…' }];
}
