// The microphone as 16 kHz mono samples. Off until it is asked for.
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { mediaDevices, release, troubleOf, type DeviceTrouble } from '../common/devices';

/** Samples a second. */
export const RATE = 16_000;
/** Samples in a frame: what the model of voice activity wants. */
export const FRAME = 512;

/**
 * Runs in the audio thread: mixes to mono, brings what the device gives to {@link RATE} by averaging
 * where the context could not, and sends it on in frames.
 */
const WORKLET = `registerProcessor('mtor-frames', class extends AudioWorkletProcessor {
  constructor(options) {
    super();
    const { rate, frame } = options.processorOptions;
    Object.assign(this, { step: sampleRate / rate, frame, at: 0, sum: 0, count: 0, filled: 0 });
    this.samples = new Float32Array(frame);
  }
  push(value) {
    this.samples[this.filled++] = value;
    if (this.filled === this.frame) {
      this.port.postMessage(this.samples.slice());
      this.filled = 0;
    }
  }
  process([channels]) {
    for (let i = 0; i < (channels[0]?.length ?? 0); i++) {
      let value = 0;
      for (const channel of channels) value += channel[i] / channels.length;
      this.sum += value;
      this.count++;
      this.at++;
      if (this.at >= this.step) {
        this.push(this.sum / this.count);
        this.at -= this.step;
        this.sum = this.count = 0;
      }
    }
    return true;
  }
});`;

export class Microphone implements IDisposable {
  get isOn(): boolean {
    return this._stream !== null;
  }

  get trouble(): DeviceTrouble {
    return this._trouble;
  }

  /** Emitted when it goes on or off, or cannot. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted with every {@link FRAME} samples, each from -1 to 1. */
  get frame(): ISignal<this, Float32Array> {
    return this._frame;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Switch it on. Tells whether it is; never throws: `trouble` says what is wrong. */
  async start(): Promise<boolean> {
    if (this.isOn) {
      return true;
    }
    const media = mediaDevices();
    if (media === undefined) {
      return this._fail('insecure');
    }
    const asked = ++this._asked;
    try {
      // The echo is taken out, so that the realm's own voice does not interrupt it.
      const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: false };
      const stream = await media.getUserMedia({ audio });
      if (asked !== this._asked || this._isDisposed) {
        release(stream);
        return false;
      }
      this._stream = stream;
      await this._listen(stream);
      this._trouble = '';
      this._changed.emit();
      return true;
    } catch (error) {
      this.stop();
      return this._fail(troubleOf(error as DOMException));
    }
  }

  /** Switch it off. */
  stop(): void {
    this._asked++;
    if (this._stream) {
      release(this._stream);
      this._stream = null;
      void this._context?.close();
      this._context = null;
      this._changed.emit();
    }
  }

  dispose(): void {
    this.stop();
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private async _listen(stream: MediaStream): Promise<void> {
    const context = makeContext();
    this._context = context;
    await context.resume();
    const url = URL.createObjectURL(new Blob([WORKLET], { type: 'text/javascript' }));
    try {
      await context.audioWorklet.addModule(url);
    } finally {
      URL.revokeObjectURL(url);
    }
    const processorOptions = { rate: RATE, frame: FRAME };
    const node = new AudioWorkletNode(context, 'mtor-frames', {
      numberOfOutputs: 0,
      processorOptions
    });
    node.port.onmessage = event => this._frame.emit(event.data as Float32Array);
    context.createMediaStreamSource(stream).connect(node);
  }

  private _fail(trouble: DeviceTrouble): false {
    this._trouble = trouble;
    this._changed.emit();
    return false;
  }

  private _stream: MediaStream | null = null;
  private _context: AudioContext | null = null;
  private _trouble: DeviceTrouble = '';
  private _asked = 0;
  private _changed = new Signal<this, void>(this);
  private _frame = new Signal<this, Float32Array>(this);
  private _isDisposed = false;
}

/** Some browsers give only the device's own rate. */
function makeContext(): AudioContext {
  try {
    return new AudioContext({ sampleRate: RATE });
  } catch {
    return new AudioContext();
  }
}
