// Model output as Markdown. It is untrusted: no raw HTML, no remote image, no address but the
// plain ones, whose host is shown. The parser makes no HTML of what it is given, and what it made is
// looked through once more, since one lock is easily left open. The magics hold the same rules in
// `mtor_kernel/magics/markdown.py`.
import type { RenderMimeRegistry, IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

const TAGS = [
  'a', 'blockquote', 'br', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'img',
  'li', 'ol', 'p', 'pre', 's', 'small', 'span', 'strong', 'sub', 'sup', 'table', 'tbody', 'td',
  'th', 'thead', 'tr', 'ul'
]; // prettier-ignore
const ATTRIBUTES = ['alt', 'class', 'href', 'rel', 'src', 'start', 'target', 'title'];
const LINK = /^(https?:\/\/[^/]|mailto:.)/i;
/** Who follows a link tells nobody where from, and gives nobody a hold on the lab. */
export const REL = 'noopener noreferrer';
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/i;
/** What is left of `class`: the language of a block of code, which is what colours it. */
const LANGUAGE = /^language-[\w+#.-]{1,40}$/;
/** Where arguments of TeX would load, link or style something; MathJax never gets to see them. */
export const TEX_REACH =
  /\\(?:href|url|style|class|cssId|data|require|includegraphics|unicode|bbox|mmlToken)(?![A-Za-z])/;
/** What a reader cannot see, or what makes text read backwards; line ends and tabs are left. */
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Lets through what {@link TAGS} names and nothing that asks anybody for anything. */
export class AnswerSanitizer implements IRenderMime.ISanitizer {
  constructor() {
    this._purify = DOMPurify(window);
    this._purify.addHook('afterSanitizeAttributes', node => {
      if (node.tagName === 'IMG' && !PICTURE.test(node.getAttribute('src') ?? '')) {
        const instead = node.ownerDocument.createElement('span');
        instead.textContent = `[${node.getAttribute('alt') || '…'}]`;
        node.replaceWith(instead);
      }
      if (!LANGUAGE.test(node.getAttribute('class') ?? '')) {
        node.removeAttribute('class');
      }
      if (node.tagName === 'A') {
        if (!LINK.test((node.getAttribute('href') ?? '').trim())) {
          node.removeAttribute('href');
        }
        node.setAttribute('rel', REL);
        node.setAttribute('target', '_blank');
      }
    });
  }

  /** JupyterLab would otherwise let ids and names through, with which pages can be fooled. */
  readonly allowNamedProperties = false;

  sanitize(dirty: string): string {
    const clean = this._purify.sanitize(dirty, {
      ALLOWED_TAGS: TAGS,
      ALLOWED_ATTR: ATTRIBUTES,
      ALLOW_DATA_ATTR: false,
      ALLOW_ARIA_ATTR: false,
      RETURN_DOM_FRAGMENT: true
    });
    const host = clean.ownerDocument.createElement('div');
    host.append(clean);
    holdTexBack(host);
    return host.innerHTML;
  }

  private readonly _purify: ReturnType<typeof DOMPurify>;
}

/** Show a command of TeX that reaches out as its source: no formula goes over an element. */
function holdTexBack(host: HTMLElement): void {
  const walker = host.ownerDocument.createTreeWalker(host, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode as Text;
    const found = TEX_REACH.exec(text.data);
    if (found && !text.parentElement?.closest('code, pre')) {
      const command = text.splitText(found.index);
      command.splitText(found[0].length); // where the walk goes on
      const shown = host.ownerDocument.createElement('code');
      command.replaceWith(shown);
      shown.append(command);
      walker.currentNode = command;
    }
  }
}

/** Makes HTML of Markdown, and text of whatever HTML is in it. */
export class AnswerParser implements IRenderMime.IMarkdownParser {
  constructor() {
    // Below the headings of whatever an answer is shown in, whose outline it is no part of.
    this._markdown.core.ruler.push('below', state => {
      for (const token of state.tokens) {
        token.tag = /^h[1-6]$/.test(token.tag) ? 'h4' : token.tag;
      }
    });
    this._markdown.validateLink = address => LINK.test(address) || PICTURE.test(address);
    this._markdown.renderer.rules.link_close = (tokens, at) => {
      const opening = tokens.slice(0, at).reverse().find(one => one.type === 'link_open');
      const address = opening?.attrGet('href') ?? '';
      const words = tokens[at - 1]?.content;
      const host = hostOf(address);
      const said = words === address && address.includes(host);
      return said ? '</a>' : `</a> <small>(${this._markdown.utils.escapeHtml(host)})</small>`;
    };
  }

  async render(source: string): Promise<string> {
    return this._markdown.render(source.replace(INVISIBLE, ''));
  }

  private readonly _markdown = new MarkdownIt({ html: false, linkify: false, breaks: false });
}

/** Return where an address leads to: its host, or the mailbox. */
function hostOf(address: string): string {
  try {
    const { protocol, hostname, pathname } = new URL(address);
    return protocol === 'mailto:' ? pathname : hostname;
  } catch {
    return address;
  }
}

/** Return a registry that renders answers: JupyterLab's own, with our parser and sanitiser. */
export function answerRegistry(lab: IRenderMimeRegistry): RenderMimeRegistry {
  return (lab as RenderMimeRegistry).clone({
    sanitizer: new AnswerSanitizer(),
    markdownParser: new AnswerParser()
  });
}
