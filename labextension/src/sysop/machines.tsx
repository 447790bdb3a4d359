// Workers and models: drain, resume, load, unload; and what a model costs.
import React, { useEffect, useState } from 'react';
import { useSignals } from '../common/hooks';
import type { ModelInfo, RateCard, WorkerInfo } from '../protocol';
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
        <button
          type="button"
          onClick={() =>
            void act(
              () => realm.sysop.worker(worker.name, draining ? 'resume' : 'drain'),
              draining
                ? trans.__('%1 takes work again.', worker.name)
                : trans.__('%1 takes nothing new.', worker.name)
            )
          }
        >
          {draining ? trans.__('Resume') : trans.__('Drain')}
        </button>
      </div>
      <ul className="jp-mtor-list">
        {(worker.served ?? []).map(served => (
          <li key={served.model} className="jp-mtor-row">
            <span className="jp-mtor-ellipsis">{served.model}</span>
            <button
              type="button"
              disabled={Boolean(served.trouble) && !served.loaded}
              onClick={() =>
                void act(
                  () =>
                    realm.sysop.model(worker.name, served.loaded ? 'unload' : 'load', served.model),
                  served.loaded
                    ? trans.__('%1 leaves memory.', served.model)
                    : trans.__('%1 is being loaded.', served.model)
                )
              }
            >
              {served.loaded ? trans.__('Unload') : trans.__('Load')}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Prices(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const [models, setModels] = useState<ModelInfo[]>([]);
  useEffect(() => {
    let gone = false;
    realm.models().then(
      found => gone || setModels(found),
      () => undefined // the tab's other sections say what is wrong
    );
    return () => {
      gone = true;
    };
  }, [realm, acts]);
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
