// That the microphone is on, in the status bar: shown only while it is.
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';
import type { Assistant } from '../voice/assistant';

export class MicrophoneStatus extends ReactWidget {
  constructor(
    private readonly _assistant: Assistant,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-mtor-status');
  }

  protected override render(): JSX.Element {
    return (
      <button
        type="button"
        className="jp-mtor-status-line jp-mtor-hears"
        title={this._trans.__('Switch the microphone off')}
        onClick={() => void this._assistant.off()}
      >
        {this._trans.__('The microphone is on')}
      </button>
    );
  }
}
