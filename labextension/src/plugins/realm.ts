// Provides the realm to every other plugin, also of other extensions.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Realm } from '../realm';
import { Requests } from '../requests';
import { IRealm } from '../tokens';

export const realmPlugin: JupyterFrontEndPlugin<IRealm> = {
  id: 'mtor-realm:realm',
  description: 'Connects to the MTOR realm.',
  autoStart: true,
  provides: IRealm,
  activate: (app: JupyterFrontEnd): IRealm =>
    new Realm(new Requests(app.serviceManager.serverSettings), app.version)
};
