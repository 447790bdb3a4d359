// How sure a small model (Silero) is that a frame is speech. It runs in the browser, from files that
// came with the panel, and is loaded when somebody first wants it.
import type { TranslationBundle } from '@jupyterlab/translation';
import type { InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { FRAME, RATE } from './microphone';

/** Samples of the frame before that the model wants to see again. */
const CONTEXT = 64;
const STATE = [2, 1, 128];

export class Activity {
  /** Load the model; throws where the browser cannot run it. */
  static async load(trans: TranslationBundle): Promise<Activity> {
    const ort = await import('onnxruntime-web/wasm');
    // More threads need a page that is isolated from all others, which a lab is not.
    ort.env.wasm.numThreads = 1;
    const url = new URL('@ricky0123/vad-web/dist/silero_vad_v5.onnx', import.meta.url);
    const response = await fetch(url);
    if (!response.ok) {
      throw new Error(
        trans.__('The model of voice activity could not be loaded: install MTOR again.')
      );
    }
    const session = await ort.InferenceSession.create(await response.arrayBuffer());
    return new Activity(session, ort.Tensor);
  }

  /** Return how sure it is, 0 to 1. Frames must come in their order. */
  async probability(frame: Float32Array): Promise<number> {
    const input = new Float32Array(CONTEXT + FRAME);
    input.set(this._context);
    input.set(frame, CONTEXT);
    this._context = frame.slice(-CONTEXT);
    const said = await this._session.run({
      input: new this._tensor('float32', input, [1, CONTEXT + FRAME]),
      state: this._state,
      sr: new this._tensor('int64', BigInt64Array.of(BigInt(RATE)))
    });
    this._state = said.stateN;
    return (said.output.data as Float32Array)[0];
  }

  /** Forget what was heard before. */
  reset(): void {
    this._context = new Float32Array(CONTEXT);
    this._state = this._silence();
  }

  private constructor(
    private readonly _session: InferenceSession,
    private readonly _tensor: typeof Tensor
  ) {
    this._state = this._silence();
  }

  private _silence(): Tensor {
    const size = STATE.reduce((product, length) => product * length, 1);
    return new this._tensor('float32', new Float32Array(size), STATE);
  }

  private _context: Float32Array = new Float32Array(CONTEXT);
  private _state: Tensor;
}
