// Who serves what, how well, and how it went in the last minutes.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useRef } from 'react';
import { bytes } from '../common/figures';
import { useSignals } from '../common/hooks';
import { Sparkline } from '../common/sparkline';
import type { WorkerInfo } from '../protocol';
import type { IRealm } from '../tokens';

/** How many readings of a worker's load are kept for its chart. */
const READINGS = 120;

export function Workers(props: { realm: IRealm; trans: TranslationBundle }): JSX.Element {
  const { realm, trans } = props;
  const loads = useRef(new Map<string, number[]>());
  useSignals(realm.stateChanged);
  useEffect(() => {
    const watching = realm.watch();
    const note = (): void => {
      for (const worker of realm.state?.workers ?? []) {
        const readings = loads.current.get(worker.name) ?? [];
        loads.current.set(worker.name, [...readings, worker.cpu_percent ?? 0].slice(-READINGS));
      }
    };
    realm.stateChanged.connect(note);
    return () => {
      realm.stateChanged.disconnect(note);
      watching.dispose();
    };
  }, [realm]);
  const workers = realm.state?.workers ?? [];
  return (
    <div className="jp-mtor-scroll">
      {workers.length === 0 && (
        <p className="jp-mtor-quiet">{trans.__('No worker is linked: nobody can answer now.')}</p>
      )}
      {workers.map(worker => (
        <Worker
          key={worker.name}
          worker={worker}
          loads={loads.current.get(worker.name) ?? []}
          trans={trans}
        />
      ))}
    </div>
  );
}

function Worker(props: {
  worker: WorkerInfo;
  loads: number[];
  trans: TranslationBundle;
}): JSX.Element {
  const { worker, loads, trans } = props;
  const states: Record<string, string> = {
    well: trans.__('well'),
    sick: trans.__('sick'),
    draining: trans.__('draining'),
    lost: trans.__('lost')
  };
  return (
    <section className="jp-mtor-card" aria-label={worker.name}>
      <div className="jp-mtor-row">
        <h2 className="jp-mtor-ellipsis">{worker.name}</h2>
        <span className={`jp-mtor-state jp-mtor-${worker.state}`}>
          {states[worker.state] ?? worker.state}
        </span>
      </div>
      <div className="jp-mtor-quiet">
        {bytes(worker.memory_bytes ?? 0)} · {Math.round(worker.cpu_percent ?? 0)} % CPU
      </div>
      <Sparkline values={loads} label={trans.__('Load in the last minutes')} />
      <table className="jp-mtor-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Model')}</th>
            <th scope="col">{trans.__('Running')}</th>
            <th scope="col">{trans.__('In memory')}</th>
          </tr>
        </thead>
        <tbody>
          {(worker.served ?? []).map(served => (
            <tr key={served.model}>
              <th scope="row">
                {served.model}
                {served.trouble && <div className="jp-mtor-trouble">{served.trouble}</div>}
              </th>
              <td>
                {served.running ?? 0} / {served.slots ?? 1}
              </td>
              <td>{served.loaded ? trans.__('yes') : trans.__('no')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
