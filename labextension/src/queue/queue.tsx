// My queries under way, and how deep the realm's lanes are.
import type { TranslationBundle } from '@jupyterlab/translation';
import { stopIcon } from '@jupyterlab/ui-components';
import React, { useEffect } from 'react';
import { IconButton } from '../common/button';
import { credits, span } from '../common/figures';
import { useSignals } from '../common/hooks';
import type { LaneInfo } from '../protocol';
import { stageOf } from '../talk/talk';
import type { IRealm, IRunning } from '../tokens';

export function Queue(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.runningChanged, realm.stateChanged);
  useEffect(() => {
    const watching = realm.watch();
    return () => watching.dispose();
  }, [realm]);
  const lanes = realm.state?.lanes ?? [];
  return (
    <div className="jp-mtor-scroll">
      <h2>{trans.__('My queries')}</h2>
      {realm.running.length === 0 && (
        <p className="jp-mtor-quiet">{trans.__('Nothing of yours is under way.')}</p>
      )}
      <ul className="jp-mtor-list">
        {realm.running.map(one => (
          <Mine key={one.id || one.hold} running={one} trans={trans} />
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

function Mine(props: { running: IRunning; trans: TranslationBundle }): JSX.Element {
  const { running, trans } = props;
  useSignals(running.changed);
  const last = running.query?.messages[running.query.messages.length - 1];
  const words = last?.parts.map(part => (part.type === 'text' ? part.text : '')).join(' ') ?? '';
  return (
    <li>
      <div className="jp-mtor-row">
        <span className="jp-mtor-ellipsis">{words.slice(0, 120) || running.id}</span>
        <IconButton
          icon={stopIcon}
          label={trans.__('Cancel this query')}
          onClick={() => running.cancel()}
        />
      </div>
      <div className="jp-mtor-quiet">
        {running.model} · {stageOf(running, trans)} · ≤ {credits(running.hold)} {trans.__('credits')}
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
    <tr>
      <th scope="row">
        {lane.model}
        {lane.trouble && <div className="jp-mtor-trouble">{lane.trouble}</div>}
        {sick && !lane.trouble && <span className="jp-mtor-quiet"> {trans.__('(resting after failures)')}</span>}
      </th>
      <td>
        {lane.running ?? 0} / {lane.slots ?? 0}
      </td>
      <td>{lane.waiting ?? 0}</td>
      <td>{lane.eta_seconds ? span(lane.eta_seconds) : '–'}</td>
    </tr>
  );
}
