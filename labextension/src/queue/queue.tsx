// My queries under way, and how deep the realm's lanes are.
import type { TranslationBundle } from '@jupyterlab/translation';
import { stopIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useRef, useState } from 'react';
import { IconButton } from '../common/button';
import { credits, span } from '../common/figures';
import { useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { LaneInfo, RateCard } from '../protocol';
import { stageOf } from '../talk/stage';
import type { IRealm, IRunning } from '../tokens';
import { spentSoFar } from './spent';

/** How often one's queries are looked for at most. */
const LOOK_MS = 2000;

export function Queue(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.runningChanged, realm.stateChanged);
  useEffect(() => {
    const watching = realm.watch();
    return () => watching.dispose();
  }, [realm]);
  const prompts = useElsewhere(realm);
  const busy = realm.running.length > 0;
  const { value: models } = useLoaded(() => realm.models(), [], [realm, realm.connection, busy]);
  const lanes = realm.state?.lanes ?? [];
  return (
    <div className="jp-mtor-scroll">
      <h2>{trans.__('My queries')}</h2>
      {realm.running.length === 0 && (
        <p className="jp-mtor-quiet">{trans.__('Nothing of yours is under way.')}</p>
      )}
      <ul className="jp-mtor-list">
        {realm.running.map(one => (
          <Mine
            key={one.id || one.hold}
            running={one}
            prompt={prompts.get(one.id)}
            card={models.find(model => model.name === one.model)?.rates}
            trans={trans}
          />
        ))}
      </ul>
      <h2>{trans.__('Lanes')}</h2>
      {realm.state?.admission_open === false && (
        <p className="jp-mtor-trouble">{trans.__('The sysop has paused admission.')}</p>
      )}
      <table className="jp-mtor-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Model')}</th>
            <th scope="col">{trans.__('Running')}</th>
            <th scope="col">{trans.__('Waiting')}</th>
            <th scope="col">{trans.__('Wait')}</th>
          </tr>
        </thead>
        <tbody>
          {lanes.map(lane => (
            <Lane key={lane.model} lane={lane} trans={trans} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/**
 * Follow what one has asked elsewhere, in a notebook or a program, for as long as the tab is open.
 * Gives the first words of each question, by its id.
 */
function useElsewhere(realm: IRealm): ReadonlyMap<string, string> {
  const [prompts, setPrompts] = useState<ReadonlyMap<string, string>>(new Map());
  const asked = useRef(0);
  useEffect(() => {
    const followed: IRunning[] = [];
    const look = async (): Promise<void> => {
      if (Date.now() - asked.current < LOOK_MS) {
        return;
      }
      asked.current = Date.now();
      const { items } = await realm.history();
      const open = items.filter(one => one.stage === 'queued' || one.stage === 'running');
      const known = new Set(realm.running.map(one => one.id));
      for (const one of open) {
        // Also what this page went on with after a reload: it does not know what was held.
        const running = realm.follow(one.id, one.model, one.hold_micro);
        if (!known.has(one.id)) {
          followed.push(running);
        }
      }
      setPrompts(new Map(open.map(one => [one.id, one.prompt ?? ''])));
    };
    // What goes wrong here, the connection's own state tells.
    const onState = (): void => void look().catch(() => undefined);
    onState();
    realm.stateChanged.connect(onState);
    return () => {
      realm.stateChanged.disconnect(onState);
      followed.forEach(one => one.dispose());
    };
  }, [realm]);
  return prompts;
}

function Mine(props: {
  running: IRunning;
  prompt?: string;
  card?: RateCard | null;
  trans: TranslationBundle;
}): JSX.Element {
  const { running, trans } = props;
  useSignals(running.changed);
  const last = running.query?.messages[running.query.messages.length - 1];
  const spent = props.card && spentSoFar(running, props.card);
  const words = last?.parts.map(part => (part.type === 'text' ? part.text : '')).join(' ') ?? '';
  return (
    <li>
      <div className="jp-mtor-row">
        <span className="jp-mtor-ellipsis">{words.slice(0, 120) || props.prompt || running.id}</span>
        <IconButton
          icon={stopIcon}
          label={trans.__('Cancel this query')}
          onClick={() => running.cancel()}
        />
      </div>
      <div className="jp-mtor-quiet">
        {running.model} · {stageOf(running, trans)} ·{' '}
        {typeof spent === 'number'
          ? trans.__('about %1 so far, at most %2 credits', credits(spent), credits(running.hold))
          : trans.__('at most %1 credits', credits(running.hold))}
      </div>
      {running.fraction !== null && (
        <progress value={running.fraction} max={1} aria-label={trans.__('Progress')} />
      )}
    </li>
  );
}

function Lane(props: { lane: LaneInfo; trans: TranslationBundle }): JSX.Element {
  const { lane, trans } = props;
  const sick = lane.breaker && lane.breaker !== 'closed';
  return (
    <>
      <tr>
        <th scope="row">{lane.model}</th>
        <td>
          {lane.running ?? 0} / {lane.slots ?? 0}
        </td>
        <td>{lane.waiting ?? 0}</td>
        <td>{lane.eta_seconds ? span(lane.eta_seconds) : '–'}</td>
      </tr>
      {(lane.trouble || sick) && (
        <tr className="jp-mtor-below">
          <td colSpan={4} className={lane.trouble ? 'jp-mtor-trouble' : 'jp-mtor-quiet'}>
            {lane.trouble || trans.__('(resting after failures)')}
          </td>
        </tr>
      )}
    </>
  );
}
