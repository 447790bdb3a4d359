import { Sentences, speakable } from './sentences';

test('sentences are given as soon as they are whole, and each once', () => {
  const sentences = new Sentences();
  expect(sentences.take('Bees make honey')).toEqual([]);
  expect(sentences.take('Bees make honey. They live in')).toEqual(['Bees make honey.']);
  expect(sentences.take('Bees make honey. They live in hives! And')).toEqual([
    'They live in hives!'
  ]);
  expect(sentences.rest('Bees make honey. They live in hives! And so')).toEqual(['And so']);
});

test('a short sentence is said together with the next', () => {
  expect(new Sentences().take('Yes. Bees make honey. ')).toEqual(['Yes. Bees make honey.']);
});

test('a number with a point in it is not cut', () => {
  expect(new Sentences().rest('It is about 3.14 in all.')).toEqual(['It is about 3.14 in all.']);
});

test('what has no end is cut at a blank', () => {
  const said = new Sentences().take('word '.repeat(100));
  expect(said.length).toBeGreaterThan(0);
  expect(Math.max(...said.map(one => one.length))).toBeLessThanOrEqual(240);
});

test('code, addresses and marks are not read out', () => {
  expect(speakable('**Use** [this](https://example.org):\n```py\nx = 1\n```\nDone.')).toBe(
    'Use this : Done.'.replace(' :', ':')
  );
});
