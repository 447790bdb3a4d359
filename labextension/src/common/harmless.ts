// An answer on its way into a notebook, where JupyterLab's own sanitiser lets remote pictures through.
import { TEX_REACH } from './markdown';

/** What of Markdown asks somebody for something as soon as it is shown, or is no Markdown at all. */
const REACHES = [
  'img:not([src^="data:image/" i])', '[srcset]', '[background]', '[poster]', '[style*="url" i]',
  'audio', 'base', 'embed', 'form', 'frame', 'iframe', 'image', 'input:not([type="checkbox" i])',
  'link', 'meta', 'object', 'script', 'source', 'style', 'svg', 'template', 'track', 'use', 'video'
].join(); // prettier-ignore

/**
 * Return an answer as Markdown that asks nobody for anything: as it stands, or else as quoted source.
 * `render` makes HTML of Markdown as the notebook will.
 */
export async function harmless(
  text: string,
  render: (markdown: string) => Promise<string>
): Promise<string> {
  return reaches(await render(text)) ? quoted(text) : text;
}

/** Tell whether this HTML would have something loaded. */
function reaches(html: string): boolean {
  // The content of a template is inert: nothing in it is loaded or run.
  const shown = document.createElement('template');
  shown.innerHTML = html;
  if (shown.content.querySelector(REACHES)) {
    return true;
  }
  for (const code of Array.from(shown.content.querySelectorAll('pre, code'))) {
    code.remove();
  }
  return TEX_REACH.test(shown.content.textContent ?? '');
}

/** Return a text as a block of code, which nothing in it can end. */
function quoted(text: string): string {
  const runs = Array.from(text.matchAll(/`+/g), found => found[0].length);
  const fence = '`'.repeat(Math.max(2, ...runs) + 1);
  return `${fence}markdown\n${text}\n${fence}`;
}
