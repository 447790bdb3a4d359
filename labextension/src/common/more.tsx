// The button below a list that goes on.
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

export function More(props: {
  more: (() => void) | null;
  trans: TranslationBundle;
}): JSX.Element | null {
  return props.more ? (
    <button type="button" className="jp-mtor-more" onClick={props.more}>
      {props.trans.__('More')}
    </button>
  ) : null;
}
