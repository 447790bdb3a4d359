// Who serves what, how well, and how it went in the last minutes.
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect } from 'react';
import { bytes } from '../common/figures';
import { useSignals } from '../common/hooks';
import { Sparkline } from '../common/sparkline';
import type { WorkerInfo } from '../protocol';
import type { IRealm } from '../tokens';
import { SPAN_MS, type ILoad, type Loads } from './loads';
import { stateOf } from './states';

/** A chart reaches at least to so many percent: a worker that rests draws a line near the ground. */
const MOST_PERCENT = 100;

export function Workers(props: {
  realm: IRealm;
  loads: Loads;
  trans: TranslationBundle;
}): JSX.Element {
  const { realm, loads, trans } = props;
  useSignals(realm.stateChanged);
  useEffect(() => {
    const watching = realm.watch();
    const note = (): void => loads.note(realm.state?.workers ?? [], Date.now());
    realm.stateChanged.connect(note);
    return () => {
      realm.stateChanged.disconnect(note);
      watching.dispose();
    };
  }, [realm, loads]);
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
          loads={loads.of(worker.name)}
          trans={trans}
        />
      ))}
    </div>
  );
}

function Worker(props: {
  worker: WorkerInfo;
  loads: ReadonlyArray<ILoad>;
  trans: TranslationBundle;
}): JSX.Element {
  const { worker, loads, trans } = props;
  return (
    <section className="jp-mtor-card" aria-label={worker.name}>
      <div className="jp-mtor-row">
        <h2 className="jp-mtor-ellipsis">{worker.name}</h2>
        <span className={`jp-mtor-state jp-mtor-${worker.state}`}>
          {stateOf(worker.state, trans)}
        </span>
      </div>
      {worker.state === 'removed' ? (
        <p className="jp-mtor-quiet">{trans.__('The sysop keeps it out of the realm.')}</p>
      ) : (
        <Doings worker={worker} loads={loads} trans={trans} />
      )}
    </section>
  );
}

/** What it takes of its machine, and what it serves. */
function Doings(props: {
  worker: WorkerInfo;
  loads: ReadonlyArray<ILoad>;
  trans: TranslationBundle;
}): JSX.Element {
  const { worker, loads, trans } = props;
  return (
    <>
      <div className="jp-mtor-quiet">
        {bytes(worker.memory_bytes ?? 0)} · {Math.round(worker.cpu_percent ?? 0)} % CPU
      </div>
      <Sparkline
        points={loads.map(one => ({ x: 1 - (Date.now() - one.at) / SPAN_MS, y: one.percent }))}
        most={MOST_PERCENT}
        label={trans.__('Load in the last minutes')}
      />
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
            <React.Fragment key={served.model}>
              <tr>
                <th scope="row">{served.model}</th>
                <td>
                  {served.running ?? 0} / {served.slots ?? 1}
                </td>
                <td>{served.loaded ? trans.__('yes') : trans.__('no')}</td>
              </tr>
              {served.trouble && (
                <tr className="jp-mtor-below">
                  <td colSpan={3} className="jp-mtor-trouble">
                    {served.trouble}
                  </td>
                </tr>
              )}
            </React.Fragment>
          ))}
        </tbody>
      </table>
    </>
  );
}
