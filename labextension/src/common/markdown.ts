// Model output as Markdown. It is untrusted: no raw HTML, no remote image, no address but the
// plain ones. The parser makes no HTML of what it is given, and what it made is looked through once
// more, since one lock is easily left open.
import { type RenderMimeRegistry, type IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

const TAGS = [
  'a', 'blockquote', 'br', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'img',
  'li', 'ol', 'p', 'pre', 's', 'span', 'strong', 'sub', 'sup', 'table', 'tbody', 'td', 'th',
  'thead', 'tr', 'ul'
]; // prettier-ignore
const ATTRIBUTES = ['alt', 'class', 'href', 'rel', 'src', 'start', 'target', 'title'];
const LINK = /^(https?:|mailto:)/i;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

/** Lets through what {@link TAGS} names and nothing that asks anybody for anything. */
export class AnswerSanitizer implements IRenderMime.ISanitizer {
  constructor() {
    this._purify = DOMPurify(window);
    this._purify.addHook('afterSanitizeAttributes', node => {
      if (node.tagName === 'IMG' && !PICTURE.test(node.getAttribute('src') ?? '')) {
        const instead = node.ownerDocument.createElement('span');
        instead.textContent = `[picture: ${node.getAttribute('alt') || 'not shown'}]`;
        node.replaceWith(instead);
      }
      if (node.tagName === 'A') {
        if (!LINK.test((node.getAttribute('href') ?? '').trim())) {
          node.removeAttribute('href');
        }
        node.setAttribute('rel', 'noopener noreferrer');
        node.setAttribute('target', '_blank');
      }
    });
  }

  /** JupyterLab would otherwise let ids and names through, with which pages can be fooled. */
  readonly allowNamedProperties = false;

  sanitize(dirty: string): string {
    return this._purify.sanitize(dirty, {
      ALLOWED_TAGS: TAGS,
      ALLOWED_ATTR: ATTRIBUTES,
      ALLOW_DATA_ATTR: false,
      ALLOW_ARIA_ATTR: false
    });
  }

  private readonly _purify: ReturnType<typeof DOMPurify>;
}

/** Makes HTML of Markdown, and text of whatever HTML is in it. */
export class AnswerParser implements IRenderMime.IMarkdownParser {
  async render(source: string): Promise<string> {
    return this._markdown.render(source);
  }

  private readonly _markdown = new MarkdownIt({ html: false, linkify: false, breaks: false });
}

/** Return a registry that renders answers: JupyterLab's own, with our parser and sanitiser. */
export function answerRegistry(lab: IRenderMimeRegistry): RenderMimeRegistry {
  return (lab as RenderMimeRegistry).clone({
    sanitizer: new AnswerSanitizer(),
    markdownParser: new AnswerParser()
  });
}
