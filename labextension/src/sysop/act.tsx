// A button that does something of the sysop's.
import React from 'react';
import type { ISectionProps, Said } from './sysop';

export function Act<T>(props: {
  act: ISectionProps['act'];
  /** What it does. */
  does: () => Promise<T>;
  /** What is said when it is done. */
  done: Said<T>;
  disabled?: boolean;
  children: React.ReactNode;
}): JSX.Element {
  const { act, does, done, disabled, children } = props;
  return (
    <button type="button" disabled={disabled} onClick={() => void act(does, done)}>
      {children}
    </button>
  );
}
