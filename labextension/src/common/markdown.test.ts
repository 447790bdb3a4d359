import MarkdownIt from 'markdown-it';
import { AnswerParser, AnswerSanitizer } from './markdown';

const sanitizer = new AnswerSanitizer();

async function shown(source: string): Promise<HTMLElement> {
  const host = document.createElement('div');
  host.innerHTML = sanitizer.sanitize(await new AnswerParser().render(source));
  return host;
}

/** What a hostile model might say. None of it may run, load or post anything. */
const HOSTILE = [
  '<script>steal()</script>',
  '<img src=x onerror=steal()>',
  '<svg onload=steal()>',
  '<svg><script>steal()</script></svg>',
  '<iframe src="https://elsewhere.example"></iframe>',
  '<iframe srcdoc="<script>steal()</script>"></iframe>',
  '<object data="https://elsewhere.example"></object>',
  '<embed src="https://elsewhere.example">',
  '<link rel=stylesheet href="https://elsewhere.example/x.css">',
  '<style>@import url(https://elsewhere.example);</style>',
  '<div style="background:url(https://elsewhere.example)">x</div>',
  '<base href="https://elsewhere.example">',
  '<meta http-equiv=refresh content="0;url=https://elsewhere.example">',
  '<form action="https://elsewhere.example"><input name=a></form>',
  '<button formaction="javascript:steal()">x</button>',
  '<video src="https://elsewhere.example/a.mp4" autoplay></video>',
  '<audio src="https://elsewhere.example/a.mp3"></audio>',
  '<picture><source srcset="https://elsewhere.example/a.png"></picture>',
  '<a href="javascript:steal()">x</a>',
  '<a href="data:text/html,<script>steal()</script>">x</a>',
  '<details open ontoggle=steal()>x</details>',
  '<body onload=steal()>',
  '<math><mtext><mglyph><style><img src=x onerror=steal()>',
  '<noscript><p title="</noscript><img src=x onerror=steal()>">',
  '<p id="jp-main-dock-panel">x</p>',
  '<img name="cookie">',
  '[x](javascript:steal())',
  '[x](JaVaScRiPt:steal())',
  '[x](&#106;avascript:steal())',
  '[x](vbscript:steal())',
  '[x](data:text/html;base64,PHNjcmlwdD4=)',
  '[x](file:///etc/passwd)',
  '[x](/logout)',
  '![x](https://elsewhere.example/pixel.png)',
  '![x](//elsewhere.example/pixel.png)',
  '![x](/api/contents)',
  '![x](data:image/svg+xml;base64,PHN2Zz4=)',
  '![x][1]\n\n[1]: https://elsewhere.example/pixel.png',
  '<https://elsewhere.example/"onmouseover="steal()>',
  '```html\n<script>steal()</script>\n```',
  '`<img src=x onerror=steal()>`',
  '# <img src=x onerror=steal()>',
  '| <img src=x onerror=steal()> |\n|---|\n| <script>steal()</script> |',
  '[x](//elsewhere.example)',
  '[x](https:elsewhere.example)',
  '<code class="jp-Dialog jp-mtor-trouble">x</code>'
];

test.each(HOSTILE)('nothing comes of %j', async source => {
  const host = await shown(source);
  const all = Array.from(host.querySelectorAll('*'));
  const allowed = /^(a|p|code|pre|h4|table|thead|tbody|tr|th|td|span|small)$/i;
  expect(all.map(node => node.tagName).filter(name => !allowed.test(name))).toEqual([]);
  for (const node of all) {
    const names = node.getAttributeNames();
    expect(names.filter(name => /^on|^style$|^id$|^name$|^src/.test(name))).toEqual([]);
    const href = node.getAttribute('href');
    expect(href === null || /^(https?:|mailto:)/.test(href)).toBe(true);
  }
});

test('what HTML comes past a parser is taken out by the sanitiser alone', () => {
  const parser = new MarkdownIt({ html: true });
  const host = document.createElement('div');
  for (const source of HOSTILE) {
    host.innerHTML = sanitizer.sanitize(parser.render(source));
    for (const node of Array.from(host.querySelectorAll('*'))) {
      const names = node.getAttributeNames();
      expect(names.filter(name => /^on|^style$|^id$|^name$/.test(name))).toEqual([]);
      expect(node.getAttribute('src')).toBeNull();
    }
    expect(host.querySelector('script, iframe, object, embed, form, input, link, meta')).toBeNull();
  }
});

test('ordinary Markdown is shown', async () => {
  const host = await shown('**Bees** make `honey`.\n\n* one\n* two\n\n[more](https://example.org)');
  expect(host.querySelector('strong')?.textContent).toBe('Bees');
  expect(host.querySelectorAll('li')).toHaveLength(2);
  const link = host.querySelector('a');
  expect(link?.getAttribute('href')).toBe('https://example.org');
  expect(link?.getAttribute('rel')).toBe('noopener noreferrer');
});

test('a picture that is in the answer itself is shown', async () => {
  const host = await shown('![dot](data:image/png;base64,iVBORw0KGgo=)');
  expect(host.querySelector('img')?.getAttribute('alt')).toBe('dot');
});

test('where a link leads is shown beside it, unless it says so itself', async () => {
  const host = await shown('[our bank](https://elsewhere.example/x) <https://example.org/>');
  expect(host.textContent?.trim()).toBe('our bank (elsewhere.example) https://example.org/');
});

test.each([
  '$\\href{javascript:steal()}{x}$',
  '$$a \\style{background:url(https://elsewhere.example)}{x}$$',
  '\\(\\cssId{jp-main-dock-panel}{x} \\class{jp-Dialog}{y}\\)',
  '$\\require{html}$',
  '$\\includegraphics{https://elsewhere.example/x.png}$'
])('the formula %j reaches nobody', async source => {
  const host = await shown(source);
  const commands = source.match(/\\[a-z]\w+/gi);
  expect(Array.from(host.querySelectorAll('code'), one => one.textContent)).toEqual(commands);
});

test('TeX in a block of code stands as it is', async () => {
  const host = await shown('```tex\n\\url{x} \\href{y}{z}\n```');
  expect(host.querySelectorAll('code')).toHaveLength(1);
  expect(host.querySelector('code')?.className).toBe('language-tex');
});

test('what cannot be seen or turns text around is taken out', async () => {
  const host = await shown('pay \u202e001\u202c now\u200f\u0007');
  expect(host.textContent?.trim()).toBe('pay 001 now');
});

test('headings stand below those of the page, however a model counts them', async () => {
  const host = await shown('# One\n\n### Three\n\nSix\n===');
  expect(Array.from(host.querySelectorAll('h1, h2, h3, h4, h5, h6'), one => one.tagName)).toEqual(
    ['H4', 'H4', 'H4']
  );
});
