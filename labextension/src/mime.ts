// Renders `application/vnd.mtor.answer+json`: an answer with what it took, without the realm.
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';
import { credits, span } from './common/figures';
import { answerRegistry } from './common/markdown';
import { answerRenderer, renderAnswer } from './common/renderer';

export const MIME = 'application/vnd.mtor.answer+json';

/** What the magics keep of an answer; whatever is not as it should be counts as absent. */
interface IKeptAnswer {
  text?: unknown;
  model?: unknown;
  seconds?: unknown;
  charge?: { amount_micro?: unknown };
  sources?: unknown;
}

export class AnswerRenderer extends Panel implements IRenderMime.IRenderer {
  constructor(
    lab: IRenderMimeRegistry,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-mtor-kept');
    this._renderer = answerRenderer(answerRegistry(lab));
    this._line.addClass('jp-mtor-quiet');
    this.addWidget(this._renderer);
    this.addWidget(this._line);
  }

  /** Notebooks come from anywhere: what is in them is as untrusted as any answer. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const kept = (model.data[MIME] ?? {}) as IKeptAnswer;
    const text = typeof kept.text === 'string' ? kept.text : '';
    await renderAnswer(this._renderer, text);
    this._line.node.textContent = lineOf(kept, this._trans);
  }

  private readonly _renderer: IRenderMime.IRenderer;
  private readonly _line = new Widget();
}

/** Return the quiet line below an answer: model, time, cost and sources. */
export function lineOf(kept: IKeptAnswer, trans: TranslationBundle): string {
  const micro = kept.charge?.amount_micro;
  const sources = Array.isArray(kept.sources) ? kept.sources.map(String) : [];
  return [
    typeof kept.model === 'string' ? kept.model : '',
    typeof kept.seconds === 'number' ? span(kept.seconds) : '',
    typeof micro === 'number' ? trans.__('%1 credits', credits(micro)) : '',
    ...sources
  ]
    .filter(Boolean)
    .join(' · ');
}
