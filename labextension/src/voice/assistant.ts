// Talks with somebody: hears, has it written down, asks, reads the answer out.
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { troubleOf } from '../running';
import type { Conversation } from '../talk/conversation';
import type { IRealm, IRunning } from '../tokens';
import { Activity } from './activity';
import type { Microphone } from './microphone';
import { understand, type IUnderstood, type Order } from './orders';
import { Segmenter } from './segmenter';
import type { Speaker } from './speaker';
import { join, wav } from './wav';

/** How somebody likes to talk. */
export interface IVoiceSettings {
  /** Send what was heard at once, without showing it first. */
  sendAtOnce: boolean;
  /** Read answers out. */
  speak: boolean;
  /** Seconds without a word after which hands-free ends by itself. */
  silenceSeconds: number;
}

/** What it does now. */
export type VoiceState =
  | 'off'
  /** not ready to hear yet */
  | 'loading'
  /** the key or button is held */
  | 'recording'
  /** hands-free, waiting for the wake word */
  | 'waiting'
  /** hands-free, called: the next sentence is for it */
  | 'called'
  /** somebody speaks, hands-free */
  | 'hearing'
  /** what was heard is being written down */
  | 'writing';

/** How long a call that asked for nothing yet holds, in milliseconds. */
const CALLED_MS = 10_000;
/** What one may be asked for in the sentence after. */
const AWAITING: Order[] = ['chat', 'look', 'imagine'];
/** A recording shorter than this is a slip of the finger: samples. */
const SHORTEST = 16_000 / 4;

export class Assistant implements IDisposable {
  constructor(
    private readonly _realm: IRealm,
    private readonly _conversation: Conversation,
    readonly microphone: Microphone,
    readonly speaker: Speaker,
    private readonly _trans: TranslationBundle
  ) {
    microphone.frame.connect((_, frame) => this._frame(frame));
    microphone.changed.connect(() => this._changed.emit());
    speaker.changed.connect(() => this._changed.emit());
    _conversation.asked.connect((_, running) => this._answering(running));
  }

  get settings(): IVoiceSettings {
    return this._settings;
  }

  set settings(settings: IVoiceSettings) {
    this._settings = settings;
    this._changed.emit();
  }

  /** Read answers out from now on, or no more; who keeps the settings is told. */
  set speaks(on: boolean) {
    this.settings = { ...this._settings, speak: on };
    this._chosen.emit(on);
  }

  /** Emitted where somebody has chosen whether answers are read out. */
  get chosen(): ISignal<this, boolean> {
    return this._chosen;
  }

  get state(): VoiceState {
    return this._state;
  }

  get handsFree(): boolean {
    return this._handsFree;
  }

  /** What went wrong last; empty where nothing did. */
  get trouble(): string {
    return this._trouble;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted where somebody wants another tab, with the words that are left. */
  get ordered(): ISignal<this, { order: Order; rest: string }> {
    return this._ordered;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** The key or button goes down: record, and be silent. */
  async press(): Promise<void> {
    this.speaker.stop();
    this._recorded = [];
    this._wanted = true;
    this._complain('');
    this._set('loading');
    // Only the first frame shows that something is heard: until then nobody is told to speak.
    if (!(await this.microphone.start()) || !this._wanted) {
      this._released();
    }
  }

  /** It goes up again: have what was said written down. */
  async letGo(): Promise<void> {
    this._wanted = false;
    if (this._state !== 'recording') {
      this._released();
      return;
    }
    const samples = join(this._recorded);
    this._recorded = [];
    this._released();
    if (samples.length < SHORTEST) {
      return;
    }
    const words = await this._write(samples);
    this._rest();
    if (words) {
      this._take({ ...understand(words), called: true }, !this.settings.sendAtOnce);
    }
  }

  /** Listen for the wake word until told otherwise, or until nobody speaks for long. */
  async listen(on: boolean): Promise<void> {
    if (on === this._handsFree) {
      return;
    }
    this._handsFree = on;
    this._calledUntil = 0;
    this._complain('');
    window.clearTimeout(this._silence);
    if (!on) {
      this._segmenter.reset();
      this.microphone.stop();
      this._set('off');
      return;
    }
    this._set('loading');
    try {
      this._activity ??= await Activity.load(this._trans);
      this._activity.reset();
    } catch (error) {
      this._handsFree = false;
      this._set('off');
      this._complain((error as Error).message);
      return;
    }
    if (this._handsFree && (await this.microphone.start())) {
      this._awaitSilence();
      this._rest();
    } else {
      this._handsFree = false;
      this._set('off');
    }
  }

  /** Switch the microphone off, whatever it is on for. */
  async off(): Promise<void> {
    await (this._handsFree ? this.listen(false) : this.letGo());
  }

  /** Be silent, and stop the answer that is being written. */
  hush(): void {
    this.speaker.stop();
    this._conversation.stop();
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    window.clearTimeout(this._silence);
    window.clearTimeout(this._calling);
    this.microphone.dispose();
    this.speaker.dispose();
    Signal.clearData(this);
  }

  /** Nobody holds the key any more. */
  private _released(): void {
    if (!this._handsFree) {
      this.microphone.stop();
    }
    if (this._state !== 'writing' && this._state !== 'off') {
      this._rest();
    }
  }

  private _frame(frame: Float32Array): void {
    if (this._wanted) {
      this._set('recording');
      this._recorded.push(frame);
    } else if (this._handsFree && this._activity) {
      // One after the other: the model goes by what it has heard before.
      this._judging = this._judging.then(() => this._judge(frame)).catch(this._deaf);
    }
  }

  /** Nothing can be heard any more: say so, and do not seem to listen. */
  private _deaf = (error: Error): void => {
    void this.listen(false);
    this._complain(error.message);
  };

  private async _judge(frame: Float32Array): Promise<void> {
    if (!this._handsFree || !this._activity) {
      return;
    }
    const told = this._segmenter.take(frame, await this._activity.probability(frame));
    if (told.kind === 'began') {
      this._beganAt = performance.now();
      this._awaitSilence();
      this.speaker.stop();
      this._set('hearing');
    } else if (told.kind === 'ended') {
      this._understand(told.samples, this._beganAt);
    }
  }

  /** Have it written down at once, and follow it after what was said before. */
  private _understand(samples: Float32Array, beganAt: number): void {
    const writing = this._write(samples);
    this._following = this._following
      .then(async () => this._follow(await writing, beganAt))
      .catch((error: Error) => this._complain(error.message));
  }

  private _follow(words: string, beganAt: number): void {
    const called = beganAt < this._calledUntil;
    this._rest();
    if (!words || !this._handsFree) {
      return;
    }
    const understood = understand(words);
    if (!understood.called && called && understood.order === 'chat') {
      understood.order = this._awaited;
    }
    if (understood.called || called) {
      this._calledUntil = 0;
      this._take(understood, false);
      if (!understood.rest && AWAITING.includes(understood.order)) {
        this._call(understood.order);
      }
    }
  }

  /** Called: the next sentence is for it, and for that order, if it begins soon. */
  private _call(order: Order): void {
    this._awaited = order;
    this._calledUntil = performance.now() + CALLED_MS;
    window.clearTimeout(this._calling);
    this._calling = window.setTimeout(() => {
      if (this._state === 'called') {
        this._set('waiting');
      }
    }, CALLED_MS);
    this._rest();
  }

  private async _write(samples: Float32Array): Promise<string> {
    this._set('writing');
    try {
      const blob = await this._realm.upload(wav(samples));
      const running = this._realm.ask({
        model: 'transcription',
        messages: [{ role: 'user', parts: [{ type: 'audio', blob, mime: 'audio/wav' }] }]
      });
      await running.done;
      const trouble = troubleOf(running, '');
      this._complain(trouble);
      return trouble ? '' : running.text.trim();
    } catch (error) {
      this._complain((error as Error).message);
      return '';
    }
  }

  private _take(understood: IUnderstood, show: boolean): void {
    const { order, rest } = understood;
    switch (order) {
      case 'stop':
        this.hush();
        break;
      case 'repeat':
        this._repeat();
        break;
      case 'goodbye':
        void this.listen(false);
        break;
      case 'chat':
        this._ask(rest, show);
        break;
      default:
        this._ordered.emit({ order, rest });
    }
  }

  private _ask(words: string, show: boolean): void {
    if (show) {
      const before = this._conversation.prompt.trim();
      this._conversation.prompt = before ? `${before} ${words}` : words;
    } else if (words) {
      this._conversation.send(words).catch((error: Error) => this._complain(error.message));
    }
  }

  private _repeat(): void {
    const answers = this._conversation.turns.filter(turn => turn.role === 'assistant');
    const last = answers[answers.length - 1];
    const words = last?.parts.map(part => (part.type === 'text' ? part.text : '')).join(' ');
    if (words) {
      this.speaker.stop();
      this.speaker.say(words);
    }
  }

  private _answering(running: IRunning): void {
    if (this.settings.speak || this._handsFree) {
      this.speaker.read(running);
    }
  }

  /** Be as one is when nothing happens. */
  private _rest(): void {
    if (!this._handsFree) {
      this._set('off');
    } else if (this._segmenter.speaking) {
      this._set('hearing');
    } else {
      this._set(performance.now() < this._calledUntil ? 'called' : 'waiting');
    }
  }

  private _awaitSilence(): void {
    window.clearTimeout(this._silence);
    this._silence = window.setTimeout(
      () => void this.listen(false),
      1000 * this.settings.silenceSeconds
    );
  }

  private _complain(words: string): void {
    this._trouble = words;
    this._changed.emit();
  }

  private _set(state: VoiceState): void {
    if (state !== this._state) {
      this._state = state;
      this._changed.emit();
    }
  }

  private _settings: IVoiceSettings = { sendAtOnce: false, speak: false, silenceSeconds: 120 };
  private _state: VoiceState = 'off';
  private _handsFree = false;
  private _wanted = false;
  /** When the sentence that is heard now began; on the page's clock, as is the next. */
  private _beganAt = 0;
  /** A sentence that begins before is for it, without its name. */
  private _calledUntil = 0;
  /** What such a sentence is about. */
  private _awaited: Order = 'chat';
  private _following: Promise<void> = Promise.resolve();
  private _trouble = '';
  private _recorded: Float32Array[] = [];
  private _segmenter = new Segmenter();
  private _activity: Activity | null = null;
  private _judging: Promise<void> = Promise.resolve();
  private _silence = 0;
  private _calling = 0;
  private _changed = new Signal<this, void>(this);
  private _chosen = new Signal<this, boolean>(this);
  private _ordered = new Signal<this, { order: Order; rest: string }>(this);
  private _isDisposed = false;
}
