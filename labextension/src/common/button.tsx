// A button that is an icon, with a name for those who do not see it.
import type { LabIcon } from '@jupyterlab/ui-components';
import React from 'react';

export function IconButton(props: {
  icon: LabIcon;
  label: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
}): JSX.Element {
  const { icon, label, pressed, disabled, onClick } = props;
  return (
    <button
      type="button"
      className="jp-mtor-button"
      title={label}
      aria-label={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <icon.react tag="span" />
    </button>
  );
}
