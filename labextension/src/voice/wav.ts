// Samples as a file: 16-bit mono WAV.
import { RATE } from './microphone';

const HEADER = 44;

/** Return samples from -1 to 1 as a WAV. */
export function wav(samples: Float32Array, rate: number = RATE): Blob {
  const bytes = new DataView(new ArrayBuffer(HEADER + 2 * samples.length));
  const words = (at: number, text: string): void => {
    for (let i = 0; i < text.length; i++) {
      bytes.setUint8(at + i, text.charCodeAt(i));
    }
  };
  words(0, 'RIFF');
  bytes.setUint32(4, HEADER - 8 + 2 * samples.length, true);
  words(8, 'WAVEfmt ');
  bytes.setUint32(16, 16, true); // size of what follows on the format
  bytes.setUint16(20, 1, true); // plain samples
  bytes.setUint16(22, 1, true); // one channel
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true); // bytes a second
  bytes.setUint16(32, 2, true); // bytes a sample
  bytes.setUint16(34, 16, true); // bits a sample
  words(36, 'data');
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => {
    const value = Math.max(-1, Math.min(1, sample));
    bytes.setInt16(HEADER + 2 * index, value * (value < 0 ? 0x8000 : 0x7fff), true);
  });
  return new Blob([bytes], { type: 'audio/wav' });
}

/** Return frames as one stretch of samples. */
export function join(frames: ReadonlyArray<Float32Array>): Float32Array {
  const whole = new Float32Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    whole.set(frame, at);
    at += frame.length;
  }
  return whole;
}
