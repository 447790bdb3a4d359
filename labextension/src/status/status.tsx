// One line in the status bar.
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';
import { credits } from '../common/figures';
import { useSignals } from '../common/hooks';
import type { Me } from '../protocol';
import { stageOf } from '../talk/talk';
import type { IRealm } from '../tokens';

export class RealmStatus extends ReactWidget {
  constructor(
    private readonly _realm: IRealm,
    private readonly _trans: TranslationBundle,
    private readonly _open: () => void
  ) {
    super();
    this.addClass('jp-mtor-status');
  }

  protected override render(): JSX.Element {
    return <Line realm={this._realm} trans={this._trans} open={this._open} />;
  }
}

function Line(props: {
  realm: IRealm;
  trans: TranslationBundle;
  open: () => void;
}): JSX.Element {
  const { realm, trans, open } = props;
  const [me, setMe] = useState<Me | null>(null);
  const first = realm.running[0];
  useSignals(realm.connectionChanged, realm.runningChanged, first?.changed);
  const connected = realm.connection === 'open';
  useEffect(() => {
    const load = (): void => {
      realm.me().then(setMe, () => undefined);
    };
    if (connected) {
      load();
    }
    realm.settled.connect(load);
    return () => {
      realm.settled.disconnect(load);
    };
  }, [realm, connected]);
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
