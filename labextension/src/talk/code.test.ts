import { codeOf } from './code';

test('the code of all fenced blocks is found, and nothing else', () => {
  expect(codeOf('Try:\n```python\nx = 1\n```\nthen\n~~~\ny = `2`\n~~~\n')).toBe('x = 1\n\ny = `2`');
});

test('an answer without code has none', () => {
  expect(codeOf('Use `x = 1`.')).toBe('');
});
