// What the sysop does, in sections. Whether one may is the realm's to say, at every act.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useCallback, useState } from 'react';
import type { IRealm } from '../tokens';
import { Audit } from './audit';
import { Machines } from './machines';
import { People } from './people';
import { Place } from './place';
import { Rules } from './rules';

/** What is said when something is done, where that depends on what came of it. */
export type Said<T> = string | ((result: T) => string);

/** What each section gets. */
export interface ISectionProps {
  realm: IRealm;
  trans: TranslationBundle;
  /** Do something, and say underneath what came of it. */
  act: <T>(doing: () => Promise<T>, done: Said<T>) => Promise<void>;
  /** Counts the acts: lists are read again when it changes. */
  acts: number;
}

export function SysopTab(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const [acts, setActs] = useState(0);
  const [said, setSaid] = useState({ words: '', bad: false });
  const act = useCallback(async <T,>(doing: () => Promise<T>, done: Said<T>) => {
    try {
      const result = await doing();
      setSaid({ words: typeof done === 'string' ? done : done(result), bad: false });
      setActs(count => count + 1);
    } catch (error) {
      setSaid({ words: (error as Error).message, bad: true });
    }
  }, []);
  const section = { ...props, act, acts };
  return (
    <>
      <div className="jp-mtor-scroll">
        <Place {...section} />
        <People {...section} />
        <Rules {...section} />
        <Machines {...section} />
        <Audit {...section} />
      </div>
      <div className={said.bad ? 'jp-mtor-said jp-mtor-trouble' : 'jp-mtor-said'} role="status">
        {said.words}
      </div>
    </>
  );
}
