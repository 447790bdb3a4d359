import { Blocks } from './blocks';

/** Take in a text piece by piece, as it comes. */
function grown(text: string, step = 3): ReadonlyArray<string> {
  const blocks = new Blocks();
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
  const blocks = new Blocks();
  blocks.take('one\n\ntwo\n\nthree\n');
  expect(blocks.take('other\n\nwords, and many more of them\n')).toEqual([
    'other\n\n',
    'words, and many more of them\n'
  ]);
});
