// Samples of a microphone, and samples as a file: what the panel records too.

/** Samples a second. */
export const RATE = 16_000;
const FRAME = 1600;
const HEADER = 44;

/**
 * Runs in the audio thread: mixes to mono, brings what the device gives to the wanted rate by
 * averaging where the context could not, and sends it on in frames.
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

/** Have `onFrame` called with the samples of a stream, each from -1 to 1; return what ends it. */
export async function hearFrames(stream, onFrame) {
  const context = makeContext();
  try {
    await context.resume();
    const url = URL.createObjectURL(new Blob([WORKLET], { type: 'text/javascript' }));
    try {
      await context.audioWorklet.addModule(url);
    } finally {
      URL.revokeObjectURL(url);
    }
    const processorOptions = { rate: RATE, frame: FRAME };
    const node = new AudioWorkletNode(context, 'mtor-frames', { numberOfOutputs: 0, processorOptions });
    node.port.onmessage = event => onFrame(event.data);
    context.createMediaStreamSource(stream).connect(node);
  } catch (error) {
    void context.close();
    throw error;
  }
  return () => void context.close();
}

/** Some browsers give only the device's own rate. */
function makeContext() {
  try {
    return new AudioContext({ sampleRate: RATE });
  } catch {
    return new AudioContext();
  }
}

/** Return frames of samples as a WAV: 16 bits, mono. */
export function wav(frames) {
  const count = frames.reduce((sum, frame) => sum + frame.length, 0);
  const bytes = new DataView(new ArrayBuffer(HEADER + 2 * count));
  const words = (at, text) => [...text].forEach((one, i) => bytes.setUint8(at + i, one.charCodeAt(0)));
  words(0, 'RIFF');
  bytes.setUint32(4, HEADER - 8 + 2 * count, true);
  words(8, 'WAVEfmt ');
  bytes.setUint32(16, 16, true); // size of what follows on the format
  bytes.setUint16(20, 1, true); // plain samples
  bytes.setUint16(22, 1, true); // one channel
  bytes.setUint32(24, RATE, true);
  bytes.setUint32(28, 2 * RATE, true); // bytes a second
  bytes.setUint16(32, 2, true); // bytes a sample
  bytes.setUint16(34, 16, true); // bits a sample
  words(36, 'data');
  bytes.setUint32(40, 2 * count, true);
  let at = HEADER;
  for (const frame of frames) {
    for (const sample of frame) {
      const value = Math.max(-1, Math.min(1, sample));
      bytes.setInt16(at, value * (value < 0 ? 0x8000 : 0x7fff), true);
      at += 2;
    }
  }
  return new Blob([bytes], { type: 'audio/wav' });
}
