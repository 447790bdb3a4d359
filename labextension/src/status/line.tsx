// How one stands in the realm, in one line: the connection, one's place in the queue, one's credits.
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import { credits } from '../common/figures';
import { useCount, usePaced, useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { Me } from '../protocol';
import { stageOf } from '../talk/stage';
import type { IRealm } from '../tokens';

export function Line(props: {
  realm: IRealm;
  trans: TranslationBundle;
  open: () => void;
}): JSX.Element {
  const { realm, trans, open } = props;
  const first = realm.running[0];
  useSignals(realm.connectionChanged, realm.runningChanged);
  usePaced(first?.changed);
  const connected = realm.connection === 'open';
  const spent = useCount(realm.spent);
  const { value: me } = useLoaded<Me | null>(
    async () => (connected ? realm.me() : null),
    null,
    [realm, connected, spent]
  );
  let words: string;
  if (!connected) {
    words = realm.welcome ? trans.__('connecting again…') : trans.__('no realm yet');
  } else if (first) {
    words = stageOf(first, trans);
  } else if (me?.unlimited) {
    words = trans.__('%1 credits spent', credits(-(me.balance_micro ?? 0)));
  } else {
    words = me ? trans.__('%1 credits', credits((me.balance_micro ?? 0) - (me.held_micro ?? 0))) : '';
  }
  return (
    <button type="button" className="jp-mtor-status-line" onClick={open}>
      MTOR: {words}
    </button>
  );
}
