// Reads answers out, sentence by sentence while they are written, in the realm's own voice.
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import type { IRealm, IRunning } from '../tokens';
import { Sentences } from './sentences';

/** Sentences that are asked for before the one that is heard has ended. */
const AHEAD = 2;

export class Speaker implements IDisposable {
  constructor(private readonly _realm: IRealm) {}

  /** Whether something is being said, or about to be. */
  get speaking(): boolean {
    return this._waiting.length > 0 || this._asked.length > 0 || this._playing !== null;
  }

  /** Emitted when it begins or ends to speak. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Say a text. */
  say(text: string): void {
    this._add(new Sentences().rest(text));
  }

  /** Say an answer while it grows. Whatever was being said is left off. */
  read(running: IRunning): void {
    this.stop();
    const sentences = new Sentences();
    const turn = this._turn;
    const onChunk = (): void => {
      if (turn === this._turn) {
        this._add(sentences.take(running.text));
      }
    };
    running.chunk.connect(onChunk);
    void running.done.then(() => {
      running.chunk.disconnect(onChunk);
      if (turn === this._turn && running.end?.op === 'settled') {
        this._add(sentences.rest(running.text));
      }
    });
  }

  /** Be silent, at once. */
  stop(): void {
    this._turn++;
    this._waiting = [];
    for (const one of this._asked) {
      one.cancel();
    }
    this._asked = [];
    if (this._playing) {
      this._playing.onended = null;
      this._playing.stop();
      this._playing = null;
      this._ended();
    }
    this._changed.emit();
  }

  dispose(): void {
    if (!this._isDisposed) {
      this.stop();
      this._isDisposed = true;
      void this._context?.close();
      Signal.clearData(this);
    }
  }

  private _add(sentences: ReadonlyArray<string>): void {
    if (sentences.length > 0) {
      this._waiting.push(...sentences);
      this._changed.emit();
      this._ask();
    }
  }

  /** Have the next sentences made into sound, in their order. */
  private _ask(): void {
    while (this._asked.length < AHEAD && this._waiting.length > 0) {
      const text = this._waiting.shift()!;
      this._asked.push(
        this._realm.ask({
          model: 'speech',
          messages: [{ role: 'user', parts: [{ type: 'text', text }] }]
        })
      );
    }
    void this._play();
  }

  private async _play(): Promise<void> {
    if (this._busy || this._playing || this._asked.length === 0) {
      return;
    }
    this._busy = true;
    const turn = this._turn;
    try {
      const next = await this._asked[0].done;
      for (const part of next.parts) {
        if (part.type === 'audio' && turn === this._turn) {
          await this._hear(await this._realm.download(part.blob), turn);
        }
      }
    } catch {
      // A sentence that cannot be had is left out; the answer stands to be read.
    } finally {
      this._busy = false;
      if (turn === this._turn) {
        this._asked.shift();
      }
      this._changed.emit();
      this._ask();
    }
  }

  /** Play a sound to its end, or until it is stopped. */
  private async _hear(content: Blob, turn: number): Promise<void> {
    const context = (this._context ??= new AudioContext());
    await context.resume();
    const buffer = await context.decodeAudioData(await content.arrayBuffer());
    if (turn !== this._turn || this._isDisposed) {
      return;
    }
    await new Promise<void>(resolve => {
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      source.onended = () => resolve();
      this._playing = source;
      this._ended = resolve;
      source.start();
      this._changed.emit();
    });
    this._playing = null;
  }

  private _waiting: string[] = [];
  private _asked: IRunning[] = [];
  private _playing: AudioBufferSourceNode | null = null;
  private _ended: () => void = () => undefined;
  private _busy = false;
  /** Counts the stops: what belongs to an earlier one is not heard any more. */
  private _turn = 0;
  private _context: AudioContext | null = null;
  private _changed = new Signal<this, void>(this);
  private _isDisposed = false;
}
