// The panel in the right side bar, its commands and its launcher card.
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Camera } from '../camera/camera';
import { realmIcon } from '../common/icons';
import { answerRegistry } from '../common/markdown';
import { Drawings } from '../imagine/drawings';
import { NotebookSide } from '../notebook';
import { RealmPanel } from '../panel/panel';
import { makeTabs } from '../panel/tabs';
import { Conversation, type IKept } from '../talk/conversation';
import { IRealm } from '../tokens';

const KEPT = 'mtor-realm:conversation';

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mtor-realm:panel',
  description: 'Talk to the realm, show it things, watch its queue.',
  autoStart: true,
  requires: [IRealm, IRenderMimeRegistry],
  optional: [
    ITranslator, ILabShell, ILayoutRestorer, INotebookTracker, IStateDB, ICommandPalette, ILauncher
  ], // prettier-ignore
  activate: (
    app: JupyterFrontEnd,
    realm: IRealm,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    tracker: INotebookTracker | null,
    state: IStateDB | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mtor_realm');
    const conversation = new Conversation(realm);
    const tabs = makeTabs({
      realm,
      registry: answerRegistry(rendermime),
      conversation,
      drawings: new Drawings(realm),
      camera: new Camera(),
      notebook: tracker && new NotebookSide(tracker),
      trans
    });
    const panel = new RealmPanel(realm, tabs, trans);
    app.shell.add(panel, 'right', { rank: 900 });
    restorer?.add(panel, panel.id);
    if (state) {
      void keep(state, conversation);
    }

    const category = trans.__('MTOR');
    for (const tab of tabs) {
      const command = `mtor-realm:open-${tab.id}`;
      app.commands.addCommand(command, {
        label: trans.__('MTOR: %1', tab.label),
        icon: realmIcon,
        isVisible: () => tab.isFor?.(realm) ?? true,
        execute: () => {
          panel.open = tab.id;
          app.shell.activateById(panel.id);
        }
      });
      palette?.addItem({ command, category });
    }
    app.commands.addCommand('mtor-realm:open', {
      label: trans.__('Realm'),
      caption: trans.__('Talk to the MTOR realm'),
      icon: realmIcon,
      execute: () => {
        labShell?.expandRight();
        app.shell.activateById(panel.id);
      }
    });
    launcher?.add({ command: 'mtor-realm:open', category: trans.__('Other'), rank: 0 });
  }
};

/** Bring back the conversation of an earlier page, and keep it from now on. */
async function keep(state: IStateDB, conversation: Conversation): Promise<void> {
  const kept = (await state.fetch(KEPT)) as unknown as IKept | undefined;
  if (kept?.turns) {
    conversation.restore(kept);
  }
  conversation.changed.connect(() => {
    void state.save(KEPT, JSON.parse(JSON.stringify(conversation.keep())));
  });
}
