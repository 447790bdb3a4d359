// A button that does something of the sysop's.
import React from 'react';
import type { ISectionProps } from './sysop';

export function Act(props: {
  act: ISectionProps['act'];
  /** What it does. */
  does: () => Promise<unknown>;
  /** What is said when it is done. */
  done: string;
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
