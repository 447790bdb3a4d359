// One query, from its submission to its end.
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal, type ISignal } from '@lumino/signaling';
import type {
  Admitted,
  Chunk,
  ErrorInfo,
  Query,
  QueryEnd,
  QueryEvent,
  Queued,
  Started
} from './protocol';
import type { IRunning, Part } from './tokens';
import { Transcript } from './transcript';

/** What a running query asks of its realm. */
export interface IOwner {
  cancel(running: Running): void;
  release(running: Running): void;
}

export class Running implements IRunning {
  constructor(
    private readonly _owner: IOwner,
    readonly query: Query | null,
    /** The client's own name for the submission. */
    readonly key: string
  ) {}

  get id(): string {
    return this._transcript.query;
  }

  get stage(): IRunning['stage'] {
    return this._stage;
  }

  get model(): string {
    return this._model;
  }

  get hold(): number {
    return this._hold;
  }

  get position(): number | null {
    return this._position;
  }

  get eta(): number | null {
    return this._eta;
  }

  get fraction(): number | null {
    return this._fraction;
  }

  get note(): string {
    return this._note;
  }

  get preview(): string {
    return this._preview;
  }

  get requeued(): string {
    return this._requeued;
  }

  get text(): string {
    return this._transcript.text;
  }

  get parts(): ReadonlyArray<Part> {
    return this._transcript.parts;
  }

  get end(): QueryEnd | null {
    return this._transcript.end;
  }

  get refusal(): ErrorInfo | null {
    return this._refusal;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get chunk(): ISignal<this, Chunk> {
    return this._chunk;
  }

  get done(): Promise<this> {
    return this._done.promise;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** The command that has the realm go on from here. */
  get cursor(): Transcript['cursor'] {
    return this._transcript.cursor;
  }

  cancel(): void {
    this._owner.cancel(this);
  }

  /** Forget it here; the query itself goes on. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._owner.release(this);
      Signal.clearData(this);
    }
  }

  /** The realm has written it down, or it is one that the realm knows already. */
  admitted(said: Pick<Admitted, 'query' | 'model' | 'hold_micro'>): void {
    if (this.id === '') {
      this._transcript = new Transcript(said.query);
    }
    this._model = said.model;
    this._hold = said.hold_micro;
    this._stage = this._stage === 'sending' ? 'queued' : this._stage;
    this._changed.emit();
  }

  /** The realm said no, and nothing was written or held. */
  refused(error: ErrorInfo): void {
    this._refusal = error;
    this._finish();
  }

  /** Take in an event; tells whether something is missing and must be asked for. */
  take(event: QueryEvent): boolean {
    const { news, ask } = this._transcript.take(event);
    for (const told of news) {
      this._show(told);
    }
    if (news.length > 0 && this.end === null) {
      this._changed.emit();
    }
    return ask;
  }

  private _show(event: QueryEvent): void {
    switch (event.op) {
      case 'queued':
        this._stage = 'queued';
        this._moved(event);
        this._position = event.position;
        this._eta = event.eta_seconds ?? null;
        break;
      case 'started':
        this._stage = 'running';
        this._moved(event);
        this._position = this._eta = this._fraction = null;
        this._preview = this._note = '';
        break;
      case 'progress':
        this._fraction = event.fraction;
        this._note = event.note ?? '';
        this._preview = event.preview || this._preview;
        break;
      case 'requeued':
        this._stage = 'queued';
        this._requeued = event.reason ?? '';
        this._fraction = null;
        break;
      case 'chunk':
        this._chunk.emit(event);
        break;
      case 'settled':
        this._model = event.model;
        this._finish();
        break;
      default:
        this._finish();
    }
  }

  /** Another model of the chain may answer than the one it was admitted for; say why. */
  private _moved(event: Queued | Started): void {
    this._model = event.model || this._model;
    this._requeued = event.reason || this._requeued;
  }

  private _finish(): void {
    this._stage = 'ended';
    this._position = this._eta = this._fraction = null;
    this._preview = this._note = '';
    this._changed.emit();
    this._done.resolve(this);
  }

  private _transcript = new Transcript('');
  private _stage: IRunning['stage'] = 'sending';
  private _model = '';
  private _hold = 0;
  private _position: number | null = null;
  private _eta: number | null = null;
  private _fraction: number | null = null;
  private _note = '';
  private _preview = '';
  private _requeued = '';
  private _refusal: ErrorInfo | null = null;
  private _changed = new Signal<this, void>(this);
  private _chunk = new Signal<this, Chunk>(this);
  private _done = new PromiseDelegate<this>();
  private _isDisposed = false;
}

/**
 * Return why a query has no answer, or not all of it; empty where there is nothing to say.
 * `stopped` is what is said of one that was cancelled.
 */
export function troubleOf(running: IRunning, stopped: string): string {
  if (running.refusal) {
    return running.refusal.message;
  }
  if (running.end?.op === 'failed') {
    return running.end.error.message;
  }
  return running.end?.op === 'cancelled' ? stopped : '';
}
