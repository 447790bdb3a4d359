// Which tabs the panel has, in their order.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import type { Camera } from '../camera/camera';
import { Look } from '../camera/look';
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
import { Workers } from '../workers/workers';
import type { ITab } from './panel';

/** What tabs are made of. */
export interface ITabParts {
  realm: IRealm;
  registry: RenderMimeRegistry;
  conversation: Conversation;
  drawings: Drawings;
  camera: Camera;
  assistant: Assistant | null;
  notebook: INotebookSide | null;
  contents: Contents.IManager | null;
  trans: TranslationBundle;
}

export function makeTabs(parts: ITabParts): ITab[] {
  const { realm, trans } = parts;
  return [
    { id: 'talk', label: trans.__('Talk'), render: () => <Talk {...parts} /> },
    { id: 'look', label: trans.__('Look'), render: () => <Look {...parts} /> },
    { id: 'imagine', label: trans.__('Imagine'), render: () => <Imagine {...parts} /> },
    { id: 'queue', label: trans.__('Queue'), render: () => <Queue realm={realm} trans={trans} /> },
    {
      id: 'workers',
      label: trans.__('Workers'),
      render: () => <Workers realm={realm} trans={trans} />
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
