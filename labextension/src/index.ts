// The extension: a list of plugins, and nothing else.
import { mimePlugin } from './plugins/mime';
import { panelPlugin } from './plugins/panel';
import { realmPlugin } from './plugins/realm';
import { statusPlugin } from './plugins/status';

export * from './tokens';
export default [realmPlugin, panelPlugin, statusPlugin, mimePlugin];
