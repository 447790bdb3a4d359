// Puts a text on the clipboard, and says so for a moment.
import { Clipboard } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';
import { IconButton } from '../common/button';

/** How long it is to be seen that something was copied. */
const COPIED_MS = 2000;

export function Copy(props: { text: string; trans: TranslationBundle }): JSX.Element {
  const { text, trans } = props;
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (copied) {
      const timer = window.setTimeout(() => setCopied(false), COPIED_MS);
      return () => window.clearTimeout(timer);
    }
    return undefined;
  }, [copied]);
  return (
    <IconButton
      icon={copied ? checkIcon : copyIcon}
      label={copied ? trans.__('Copied') : trans.__('Copy the answer')}
      onClick={() => {
        // The browser's own clipboard is there only by https or on this machine; this way always is.
        Clipboard.copyToSystem(text);
        setCopied(true);
      }}
    />
  );
}
