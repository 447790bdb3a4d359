import MarkdownIt from 'markdown-it';
import { removeMath, replaceMath } from '@jupyterlab/rendermime/lib/latex';
import { AnswerParser } from './markdown';
import { harmless } from './harmless';

/** What the lab's parser is like where it matters: HTML and remote pictures go through it. */
async function lab(markdown: string): Promise<string> {
  const { text, math } = removeMath(markdown);
  return replaceMath(new MarkdownIt({ html: true }).render(text), math);
}

test.each([
  '**bees** make [honey](https://bees.example/)',
  '![a dot](data:image/png;base64,AAAA)',
  'Write `![x](https://site.example/y.png)` for a picture, and `\\href{x}{y}` for a link.',
  '$x^2$ and <b>words</b>'
])('%j goes in as it stands', async text => {
  expect(await harmless(text, lab)).toBe(text);
});

test.each([
  '![x](https://site.example/canary.png)',
  '![x](/api/contents/canary)',
  '<iframe src="https://site.example/"></iframe>',
  '<p style="background: URL(https://site.example/canary)">x</p>',
  '$\\style{background:url(https://site.example/canary)}{x}$'
])('%j goes in as its source', async text => {
  const source = await harmless(text, lab);
  expect(source).toContain(text);
  expect(source).toMatch(/^`{3,}markdown\n/);
  expect(await new AnswerParser().render(source)).toMatch(/^<pre><code[^]*<\/code><\/pre>\s*$/);
});

test('a fence in an answer does not end the one around it', async () => {
  const source = await harmless('```\nx\n````\n<script>steal()</script>', lab);
  expect(await new AnswerParser().render(source)).toMatch(/^<pre><code[^]*<\/code><\/pre>\s*$/);
});
