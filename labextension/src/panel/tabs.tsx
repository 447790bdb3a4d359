// Which tabs the panel has, in their order.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { Look } from '../camera/look';
import type { Sight } from '../camera/sight';
import { Credits } from '../credits/credits';
import type { Drawings } from '../imagine/drawings';
import { Imagine } from '../imagine/imagine';
import type { INotebookSide } from '../notebook';
import { Queue } from '../queue/queue';
import { SysopTab } from '../sysop/sysop';
import type { Conversation } from '../talk/conversation';
import { Talk } from '../talk/talk';
import type { IRealm } from '../tokens';
import type { Assistant } from '../voice/assistant';
import { Listening } from '../voice/bar';
import { Loads } from '../workers/loads';
import { Workers } from '../workers/workers';
import type { ITab } from './panel';

/** What tabs are made of. */
export interface ITabParts {
  realm: IRealm;
  registry: RenderMimeRegistry;
  conversation: Conversation;
  drawings: Drawings;
  sight: Sight;
  assistant: Assistant | null;
  notebook: INotebookSide | null;
  contents: Contents.IManager | null;
  trans: TranslationBundle;
}

/** What stands above a tab: whether the microphone is on is to be seen on each; Talk shows it itself. */
export function aboveTab(id: string, { assistant, trans }: ITabParts): JSX.Element | null {
  return assistant && id !== 'talk' ? <Listening assistant={assistant} trans={trans} /> : null;
}

export function makeTabs(parts: ITabParts): ITab[] {
  const { realm, trans } = parts;
  const loads = new Loads();
  return [
    { id: 'talk', label: trans.__('Talk'), render: () => <Talk {...parts} /> },
    { id: 'look', label: trans.__('Look'), render: () => <Look {...parts} /> },
    { id: 'imagine', label: trans.__('Imagine'), render: () => <Imagine {...parts} /> },
    { id: 'queue', label: trans.__('Queue'), render: () => <Queue realm={realm} trans={trans} /> },
    {
      id: 'workers',
      label: trans.__('Workers'),
      render: () => <Workers {...{ realm, loads, trans }} />
    },
    { id: 'credits', label: trans.__('Credits'), render: () => <Credits {...parts} /> },
    {
      id: 'sysop',
      label: trans.__('Sysop'),
      isFor: here => here.welcome?.role === 'sysop',
      render: () => <SysopTab realm={realm} trans={trans} />
    }
  ];
}
