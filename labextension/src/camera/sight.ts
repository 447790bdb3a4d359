// What is shown to the realm, and what is asked about it: it stays while one looks at another tab.
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import type { IRealm, IRunning } from '../tokens';
import type { Camera } from './camera';

export class Sight implements IDisposable {
  constructor(
    private readonly _realm: IRealm,
    readonly camera: Camera,
    private readonly _trans: TranslationBundle
  ) {
    camera.changed.connect(() => {
      if (camera.trouble) {
        this._atOnce = false;
      }
      this._changed.emit();
    });
  }

  /** The picture to ask about; `null` where there is none yet. */
  get picture(): Blob | null {
    return this._picture;
  }

  /** What one wants to know of it. */
  get question(): string {
    return this._question;
  }

  set question(words: string) {
    this._question = words;
    this._changed.emit();
  }

  /** What was asked last; `null` where nothing was. */
  get running(): IRunning | null {
    return this._running;
  }

  /** Why nothing was asked; empty where something was. */
  get trouble(): string {
    return this._trouble;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted with the answer to what was asked aloud, as it begins. */
  get asked(): ISignal<this, IRunning> {
    return this._asked;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Switch the camera on for another picture. */
  async look(): Promise<void> {
    this._picture = null;
    await this.camera.start();
  }

  /** Look, and ask this as soon as something is seen. */
  async lookAndAsk(words: string): Promise<void> {
    this.question = words;
    this._atOnce = true;
    await this.look();
  }

  /** The camera shows something; `take` gives its picture. */
  async seen(take: () => Promise<Blob>): Promise<void> {
    if (this._atOnce) {
      this._atOnce = false;
      await this.take(take);
      const running = await this.ask();
      if (running) {
        this._asked.emit(running);
      }
    }
  }

  /** Take the picture that the camera shows, and switch it off. */
  async take(take: () => Promise<Blob>): Promise<void> {
    try {
      this._picture = await take();
      this._complain('');
    } catch (error) {
      this._complain((error as Error).message);
    }
    this.camera.stop();
  }

  /** Take a picture from elsewhere. */
  choose(picture: Blob): void {
    this._atOnce = false;
    this._picture = picture;
    this._complain('');
    this.camera.leave();
  }

  /** Nobody looks at the preview any more. */
  leave(): void {
    this._atOnce = false;
    this.camera.stop();
  }

  /** Ask about the picture; `null` where that was not possible. */
  async ask(): Promise<IRunning | null> {
    const picture = this._picture;
    if (!picture) {
      return null;
    }
    try {
      const text = this._question.trim() || this._trans.__('What is on this picture?');
      const blob = await this._realm.upload(picture);
      this._running = this._realm.ask({
        model: 'vision',
        messages: [
          {
            role: 'user',
            parts: [
              { type: 'text', text },
              { type: 'image', blob, mime: picture.type }
            ]
          }
        ]
      });
      this._complain('');
      return this._running;
    } catch (error) {
      this._complain((error as Error).message);
      return null;
    }
  }

  dispose(): void {
    this._isDisposed = true;
    this.camera.dispose();
    Signal.clearData(this);
  }

  private _complain(words: string): void {
    this._trouble = words;
    this._changed.emit();
  }

  private _picture: Blob | null = null;
  private _question = '';
  private _running: IRunning | null = null;
  private _trouble = '';
  /** What is seen next is asked about at once. */
  private _atOnce = false;
  private _changed = new Signal<this, void>(this);
  private _asked = new Signal<this, IRunning>(this);
  private _isDisposed = false;
}
