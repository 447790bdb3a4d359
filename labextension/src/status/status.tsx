// The line in the status bar.
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';
import type { IRealm } from '../tokens';
import { Line } from './line';

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
