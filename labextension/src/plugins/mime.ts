// Shows an answer in a saved notebook, with its model and cost, also where no realm is.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { AnswerRenderer, MIME } from '../mime';

export const mimePlugin: JupyterFrontEndPlugin<void> = {
  id: 'mtor-realm:mime',
  description: 'Renders answers in saved notebooks.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    registry: IRenderMimeRegistry,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mtor_realm');
    registry.addFactory(
      {
        safe: true,
        mimeTypes: [MIME],
        defaultRank: 50,
        createRenderer: () => new AnswerRenderer(registry, trans)
      },
      50
    );
  }
};
