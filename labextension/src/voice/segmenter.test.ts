import { FRAME } from './microphone';
import { Segmenter, type Heard } from './segmenter';

const frame = (value: number): Float32Array => new Float32Array(FRAME).fill(value);

function hear(segmenter: Segmenter, pattern: [count: number, probability: number][]): Heard[] {
  const told: Heard[] = [];
  for (const [count, probability] of pattern) {
    for (let i = 0; i < count; i++) {
      told.push(segmenter.take(frame(probability), probability));
    }
  }
  return told.filter(one => one.kind !== 'nothing');
}

test('speech is cut out with a little before and after it', () => {
  const told = hear(new Segmenter(), [[50, 0.01], [30, 0.9], [40, 0.01]]); // prettier-ignore
  expect(told.map(one => one.kind)).toEqual(['began', 'ended']);
  const samples = told[1].kind === 'ended' ? told[1].samples : new Float32Array();
  const frames = samples.length / FRAME;
  expect(frames).toBeGreaterThan(30 + 10);
  expect(frames).toBeLessThan(30 + 12 + 24);
});

test('a cough is no speech', () => {
  expect(hear(new Segmenter(), [[20, 0.01], [3, 0.9], [60, 0.01]])).toEqual([]); // prettier-ignore
});

test('a short pause does not end it', () => {
  const told = hear(new Segmenter(), [[10, 0.9], [10, 0.1], [10, 0.9], [30, 0.01]]); // prettier-ignore
  expect(told.map(one => one.kind)).toEqual(['began', 'ended']);
});

test('who never stops is cut off', () => {
  const told = hear(new Segmenter({ most: 100 }), [[250, 0.9]]);
  expect(told.filter(one => one.kind === 'ended')).toHaveLength(2);
});
