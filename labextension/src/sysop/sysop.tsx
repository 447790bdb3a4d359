// What the sysop does, in sections. Whether one may is the realm's to say, at every act.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useCallback, useState } from 'react';
import type { IRealm } from '../tokens';
import { Audit } from './audit';
import { Machines } from './machines';
import { People } from './people';
import { Place } from './place';
import { Rules } from './rules';

/** What each section gets. */
export interface ISectionProps {
  realm: IRealm;
  trans: TranslationBundle;
  /** Do something, and say underneath what came of it. */
  act: (doing: () => Promise<unknown>, done: string) => Promise<void>;
  /** Counts the acts: lists are read again when it changes. */
  acts: number;
}

export function SysopTab(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const [acts, setActs] = useState(0);
  const [said, setSaid] = useState({ words: '', bad: false });
  const act = useCallback(async (doing: () => Promise<unknown>, done: string) => {
    try {
      await doing();
      setSaid({ words: done, bad: false });
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
