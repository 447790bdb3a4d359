// Provides the realm to every other plugin, also of other extensions.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { NotebookActions } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Realm } from '../realm';
import { Requests } from '../requests';
import { IRealm } from '../tokens';

export const realmPlugin: JupyterFrontEndPlugin<IRealm> = {
  id: 'mtor-realm:realm',
  description: 'Connects to the MTOR realm.',
  autoStart: true,
  provides: IRealm,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): IRealm => {
    const trans = (translator ?? nullTranslator).load('mtor_realm');
    const realm = new Realm(new Requests(app.serviceManager.serverSettings, trans), app.version);
    // A cell asks the realm by its kernel, past this page.
    NotebookActions.executed.connect(() => realm.askedElsewhere());
    return realm;
  }
};
