// The panel in the right side bar, its commands and its launcher card.
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Camera } from '../camera/camera';
import { Sight } from '../camera/sight';
import { realmIcon } from '../common/icons';
import { answerRegistry } from '../common/markdown';
import { Drawings } from '../imagine/drawings';
import { NotebookSide } from '../notebook';
import { RealmPanel } from '../panel/panel';
import { aboveTab, makeTabs, type ITabParts } from '../panel/tabs';
import { MicrophoneStatus } from '../status/microphone';
import { Conversation, type IKept } from '../talk/conversation';
import { IRealm } from '../tokens';
import { Assistant, type IVoiceSettings } from '../voice/assistant';
import { Microphone } from '../voice/microphone';
import { Speaker } from '../voice/speaker';

const KEPT = 'mtor-realm:conversation';
/** A conversation is kept when nothing has changed in it for so long. */
const KEEP_MS = 200;

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mtor-realm:panel',
  description: 'Talk to the realm, show it things, watch its queue.',
  autoStart: true,
  requires: [IRealm, IRenderMimeRegistry],
  optional: [
    ITranslator, ILabShell, ILayoutRestorer, INotebookTracker, IStateDB, ICommandPalette,
    ILauncher, ISettingRegistry, IStatusBar
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
    launcher: ILauncher | null,
    settings: ISettingRegistry | null,
    statusBar: IStatusBar | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mtor_realm');
    const conversation = new Conversation(realm, trans);
    const drawings = new Drawings(realm);
    const assistant = new Assistant(
      realm,
      conversation,
      new Microphone(),
      new Speaker(realm),
      trans
    );
    const sight = new Sight(realm, new Camera(), trans);
    const parts: ITabParts = {
      realm,
      registry: answerRegistry(rendermime),
      conversation,
      drawings,
      sight,
      assistant,
      notebook: tracker && new NotebookSide(tracker, rendermime.markdownParser, trans),
      contents: app.serviceManager.contents,
      trans
    };
    const tabs = makeTabs(parts);
    const panel = new RealmPanel(realm, tabs, id => aboveTab(id, parts), trans);
    app.shell.add(panel, 'right', { rank: 900 });
    restorer?.add(panel, panel.id);
    if (state) {
      void keep(state, conversation);
    }
    if (settings) {
      void followSettings(settings, assistant);
    }
    // Also while the side bar is closed.
    statusBar?.registerStatusItem('mtor-realm:microphone', {
      item: new MicrophoneStatus(assistant, trans),
      align: 'left',
      rank: 51,
      isActive: () => assistant.microphone.isOn,
      activeStateChanged: assistant.changed
    });
    realm.notice.connect((_, { text, level }) => {
      Notification.emit(text, level ?? 'info', { autoClose: false });
    });
    assistant.ordered.connect((_, { order, rest }) => {
      if (order === 'imagine' && rest) {
        drawings.draw(rest);
      }
      panel.open = order === 'help' ? 'talk' : order;
      if (order === 'look') {
        // What the camera sees is never taken unseen.
        app.shell.activateById(panel.id);
        if (rest) {
          void sight.lookAndAsk(rest);
        }
      }
      if (order === 'help') {
        assistant.speaker.say(
          trans.__('Say computer, then a question. Or: look, imagine, stop, repeat, goodbye.')
        );
      }
    });

    // What was asked aloud is answered aloud.
    sight.asked.connect((_, running) => assistant.speaker.read(running));

    app.commands.addCommand('mtor-realm:push-to-talk', {
      label: trans.__('MTOR: Begin or end to speak'),
      icon: realmIcon,
      execute: () => (assistant.state === 'recording' ? assistant.letGo() : assistant.press())
    });
    app.commands.addCommand('mtor-realm:hush', {
      label: trans.__('MTOR: Silence'),
      execute: () => assistant.hush()
    });
    const category = trans.__('MTOR');
    palette?.addItem({ command: 'mtor-realm:push-to-talk', category });
    palette?.addItem({ command: 'mtor-realm:hush', category });
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
  let timer = 0;
  conversation.changed.connect(() => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      void state.save(KEPT, JSON.parse(JSON.stringify(conversation.keep())));
    }, KEEP_MS);
  });
}

/** Have the assistant be as the settings say, also when they change. */
async function followSettings(registry: ISettingRegistry, assistant: Assistant): Promise<void> {
  const settings = await registry.load(panelPlugin.id);
  const take = (): void => {
    assistant.settings = settings.composite as unknown as IVoiceSettings;
  };
  settings.changed.connect(take);
  assistant.chosen.connect((_, speak) => void settings.set('speak', speak));
  take();
}
