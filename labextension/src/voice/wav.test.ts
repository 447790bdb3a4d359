/** jsdom's Blob cannot be read as bytes. */
async function bytesOf(blob: Blob): Promise<DataView> {
  return new Promise(resolve => {
    const reader = new FileReader();
    reader.onload = () => resolve(new DataView(reader.result as ArrayBuffer));
    reader.readAsArrayBuffer(blob);
  });
}
import { join, wav } from './wav';

test('samples become a WAV that says what it is', async () => {
  const bytes = await bytesOf(wav(Float32Array.of(0, 1, -1, 2)));
  expect(bytes.byteLength).toBe(44 + 8);
  expect(bytes.getUint32(24, true)).toBe(16_000);
  expect(bytes.getUint32(40, true)).toBe(8);
  const samples = [0, 1, 2, 3].map(index => bytes.getInt16(44 + 2 * index, true));
  expect(samples).toEqual([0, 32767, -32768, 32767]);
});

test('frames are joined in their order', () => {
  expect(Array.from(join([Float32Array.of(1, 2), Float32Array.of(3)]))).toEqual([1, 2, 3]);
});
