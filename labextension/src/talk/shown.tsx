// Who else sees what is asked.
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { useSignals } from '../common/hooks';
import type { IRealm } from '../tokens';

/** Whoever asks knows who else sees it. */
export function PromptsShown(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.connectionChanged);
  return realm.welcome?.prompts_shown ? (
    <p className="jp-mtor-quiet" role="note">
      {trans.__('The sysops of this realm see the first words of what you ask.')}
    </p>
  ) : (
    <></>
  );
}
