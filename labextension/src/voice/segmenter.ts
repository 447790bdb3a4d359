// Where speech begins and ends, from how sure a model is of each frame. Pure.
import { join } from './wav';

/** What a frame has brought about. */
export type Heard =
  | { kind: 'nothing' }
  /** somebody speaks: long enough to be no cough */
  | { kind: 'began' }
  /** and has ended; `samples` is all of it, with a little before and after */
  | { kind: 'ended'; samples: Float32Array };

/** At 16 kHz a frame of 512 samples is 32 ms. */
export interface ISegmenterOptions {
  /** As sure of speech as this, it may have begun. */
  begin: number;
  /** Less sure than this, it may have ended. */
  end: number;
  /** Frames of speech after which it has begun. */
  least: number;
  /** Frames without after which it has ended. */
  pause: number;
  /** Frames kept from before the beginning. */
  before: number;
  /** Frames after which it is ended in any case. */
  most: number;
}

const USUAL: ISegmenterOptions = {
  begin: 0.5, end: 0.35, least: 6, pause: 22, before: 12, most: 900
}; // prettier-ignore
const NOTHING: Heard = { kind: 'nothing' };

export class Segmenter {
  constructor(options: Partial<ISegmenterOptions> = {}) {
    this._options = { ...USUAL, ...options };
  }

  /** Whether somebody speaks. */
  get speaking(): boolean {
    return this._speaking;
  }

  /** Take in a frame, and how sure a model is, 0 to 1, that it is speech. */
  take(frame: Float32Array, probability: number): Heard {
    const { begin, end, least, pause, before, most } = this._options;
    this._frames.push(frame);
    if (!this._speaking) {
      this._voiced = probability >= begin ? this._voiced + 1 : 0;
      if (this._voiced >= least) {
        this._speaking = true;
        this._silent = 0;
        return { kind: 'began' };
      }
      this._frames = this._frames.slice(-(before + this._voiced));
      return NOTHING;
    }
    this._silent = probability < end ? this._silent + 1 : 0;
    if (this._silent < pause && this._frames.length < most) {
      return NOTHING;
    }
    const samples = join(this._frames);
    this.reset();
    return { kind: 'ended', samples };
  }

  /** Forget what was heard. */
  reset(): void {
    this._frames = [];
    this._speaking = false;
    this._voiced = this._silent = 0;
  }

  private readonly _options: ISegmenterOptions;
  private _frames: Float32Array[] = [];
  private _speaking = false;
  private _voiced = 0;
  private _silent = 0;
}
