// The status bar: the connection, one's place in the queue, the credits left.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { RealmStatus } from '../status/status';
import { IRealm } from '../tokens';

export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mtor-realm:status',
  description: 'How one stands in the realm, in the status bar.',
  autoStart: true,
  requires: [IRealm, IStatusBar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    realm: IRealm,
    bar: IStatusBar,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mtor_realm');
    const item = new RealmStatus(realm, trans, () => {
      void app.commands.execute('mtor-realm:open');
    });
    bar.registerStatusItem('mtor-realm:status', { item, align: 'left', rank: 50 });
  }
};
