// The conversation: what was said, what is being said, and what to say next.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { useSignals } from '../common/hooks';
import type { INotebookSide } from '../notebook';
import type { IRealm } from '../tokens';
import type { Assistant } from '../voice/assistant';
import { Composer } from './composer';
import type { Conversation } from './conversation';
import { Turns } from './turns';

/** What the tab needs of the panel. */
export interface ITalkProps {
  realm: IRealm;
  registry: RenderMimeRegistry;
  conversation: Conversation;
  notebook: INotebookSide | null;
  /** The files of the lab. */
  contents: Contents.IManager | null;
  assistant: Assistant | null;
  trans: TranslationBundle;
}

export function Talk(props: ITalkProps): JSX.Element {
  const { conversation, trans } = props;
  useSignals(conversation.changed);
  return (
    <div className="jp-mtor-talk">
      <Turns {...props} />
      <Composer {...props} />
      <div className="jp-mtor-sr" role="status" aria-live="polite">
        {conversation.running ? trans.__('The answer is being written.') : ''}
      </div>
    </div>
  );
}
