// Workers and models: drain, resume, load, unload; and what a model costs.
import React from 'react';
import { useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { RateCard, WorkerInfo } from '../protocol';
import { Act } from './act';
import type { ISectionProps } from './sysop';

export function Machines(props: ISectionProps): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.stateChanged);
  return (
    <section aria-label={trans.__('Workers and models')}>
      <h2>{trans.__('Workers and models')}</h2>
      {(realm.state?.workers ?? []).map(worker => (
        <Machine key={worker.name} {...props} worker={worker} />
      ))}
      <Prices {...props} />
    </section>
  );
}

function Machine(props: ISectionProps & { worker: WorkerInfo }): JSX.Element {
  const { realm, trans, act, worker } = props;
  const draining = worker.state === 'draining';
  return (
    <div className="jp-mtor-card">
      <div className="jp-mtor-row">
        <h3 className="jp-mtor-ellipsis">{worker.name}</h3>
        <Act
          act={act}
          does={() => realm.sysop.worker(worker.name, draining ? 'resume' : 'drain')}
          done={
            draining
              ? trans.__('%1 takes work again.', worker.name)
              : trans.__('%1 takes nothing new.', worker.name)
          }
        >
          {draining ? trans.__('Resume') : trans.__('Drain')}
        </Act>
      </div>
      <ul className="jp-mtor-list">
        {(worker.served ?? []).map(served => (
          <li key={served.model} className="jp-mtor-row">
            <span className="jp-mtor-ellipsis">{served.model}</span>
            <Act
              act={act}
              does={() =>
                realm.sysop.model(worker.name, served.loaded ? 'unload' : 'load', served.model)
              }
              done={
                served.loaded
                  ? trans.__('%1 leaves memory.', served.model)
                  : trans.__('%1 is being loaded.', served.model)
              }
              disabled={Boolean(served.trouble) && !served.loaded}
            >
              {served.loaded ? trans.__('Unload') : trans.__('Load')}
            </Act>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Prices(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  // What goes wrong here, the tab's other sections say.
  const { value: models } = useLoaded(() => realm.models(), [], [realm, acts]);
  return (
    <>
      <h2>{trans.__('Prices')}</h2>
      <p className="jp-mtor-quiet">
        {trans.__('In micro-credits. They stand in the catalogue, which is read anew when it changes.')}
      </p>
      <table className="jp-mtor-table">
        <tbody>
          {models
            .filter(model => model.rates && !model.stands_for?.length)
            .map(model => (
              <tr key={model.name}>
                <th scope="row">{model.name}</th>
                <td>{rates(model.rates!)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </>
  );
}

/** Return the units that a card prices: `output token 10, query 100`. */
export function rates(card: RateCard): string {
  return Object.entries(card)
    .filter(([name, micro]) => name.endsWith('_micro') && micro)
    .map(([name, micro]) => `${name.replace(/_micro$/, '').replace(/_/g, ' ')} ${micro}`)
    .join(', ');
}
