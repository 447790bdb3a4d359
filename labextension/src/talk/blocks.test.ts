import { Blocks } from './blocks';

/** Cuts wherever it may, however short what it cuts. */
const EVERYWHERE = 0;

/** Take in a text piece by piece, as it comes. */
function grown(text: string, step = 3): ReadonlyArray<string> {
  const blocks = new Blocks(EVERYWHERE);
  let found: ReadonlyArray<string> = [];
  for (let end = step; end < text.length + step; end += step) {
    found = blocks.take(text.slice(0, end));
    expect(found.join('')).toBe(text.slice(0, end));
  }
  return found;
}

test('a text is cut where a paragraph ends', () => {
  expect(grown('one\ntwo\n\nthree\n\n\nfour\n')).toEqual(['one\ntwo\n\n', 'three\n\n\n', 'four\n']);
});

test('short paragraphs stay together', () => {
  const blocks = new Blocks().take('some words\n\n'.repeat(200));
  expect(blocks.length).toBe(4);
  expect(blocks.slice(0, -1).every(one => one.length >= 600 && one.length < 620)).toBe(true);
});

test.each([
  '```py\na\n\nb\n```',
  '~~~\n```\n\nb\n~~~',
  '* a\n\n  b\n\n  c',
  '$$\na\n\nb\n$$',
  '1. ```\n   a\n\n   b\n   ```'
])('%j is one block', text => {
  expect(grown(text)).toEqual([text]);
});

test('after code that is closed it can be cut again', () => {
  expect(grown('```\na\n\nb\n```\n\nc\n\n')).toEqual(['```\na\n\nb\n```\n\n', 'c\n\n']);
});

test('an answer that starts afresh is cut afresh', () => {
  const blocks = new Blocks(EVERYWHERE);
  blocks.take('one\n\ntwo\n\nthree\n');
  expect(blocks.take('other\n\nwords, and many more of them\n')).toEqual([
    'other\n\n',
    'words, and many more of them\n'
  ]);
});

test('long code is cut between lines, and opened anew in the language that it is in', () => {
  const text = '```py\n' + 'a = 1\n'.repeat(1000) + '```\n\nend\n';
  const blocks = new Blocks(EVERYWHERE).take(text);
  expect(Math.max(...blocks.map(one => one.length))).toBeLessThan(2100);
  expect(blocks.slice(0, 3).every(one => one.startsWith('```py\na = 1\n'))).toBe(true);
  expect(blocks.map(one => one.replace('```py\n', '')).join('')).toBe(text.replace('```py\n', ''));
  expect(blocks[blocks.length - 1]).toBe('end\n');
});

test('a paragraph that goes on and on is cut between words', () => {
  const text = 'some words '.repeat(1000);
  const blocks = grown(text, 7);
  expect(blocks.length).toBeGreaterThan(4);
  expect(blocks.slice(0, -1).every(one => one.endsWith(' '))).toBe(true);
});

test('a table, and a formula, are never cut', () => {
  const table = '| a | b |\n|---|---|\n' + '| some | words |\n'.repeat(400);
  expect(grown(table, 50)).toEqual([table]);
  const formula = '$$\n' + 'x + y\n'.repeat(600) + '$$\n';
  expect(grown(formula, 50)).toEqual([formula]);
});
