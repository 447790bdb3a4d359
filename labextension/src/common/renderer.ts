// What shows an answer in the page.
import { MimeModel, type RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { REL } from './markdown';

const MARKDOWN = 'text/markdown';

/** Return what shows answers: JupyterLab's renderer of Markdown, with links that tell nobody. */
export function answerRenderer(registry: RenderMimeRegistry): IRenderMime.IRenderer {
  const renderer = registry.createRenderer(MARKDOWN);
  // JupyterLab writes links anew once the sanitiser has seen them, and again when they are attached.
  new MutationObserver(() => {
    for (const link of Array.from(renderer.node.querySelectorAll('a[href]'))) {
      if (link.getAttribute('rel') !== REL) {
        link.setAttribute('rel', REL);
      }
    }
  }).observe(renderer.node, { subtree: true, childList: true, attributeFilter: ['rel'] });
  return renderer;
}

/** Have such a renderer show an answer. */
export function renderAnswer(renderer: IRenderMime.IRenderer, text: string): Promise<void> {
  return renderer.renderModel(new MimeModel({ data: { [MARKDOWN]: text } }));
}
