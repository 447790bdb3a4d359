// Workers and models: drain, resume, load, unload; and what a model costs.
import { Dialog, showDialog } from '@jupyterlab/apputils';
import React from 'react';
import { useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { WorkerInfo } from '../protocol';
import { stateOf } from '../workers/states';
import { Act } from './act';
import { pricesOf } from './prices';
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
  const { name, state } = worker;
  const away = state === 'draining' || state === 'removed';
  const remove = async (): Promise<void> => {
    const { button } = await showDialog({
      title: trans.__('Remove %1?', name),
      body: trans.__(
        'It finishes what it runs, and is kept out of the realm then until you let it resume.'
      ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Remove') })
      ]
    });
    if (button.accept) {
      await act(() => realm.sysop.worker(name, 'remove'), trans.__('%1 is sent away.', name));
    }
  };
  return (
    <div className="jp-mtor-card" role="group" aria-label={name}>
      <div className="jp-mtor-row">
        <h3 className="jp-mtor-ellipsis">{name}</h3>
        {state !== 'well' && (
          <span className={`jp-mtor-state jp-mtor-${state}`}>{stateOf(state, trans)}</span>
        )}
        <Act
          act={act}
          does={() => realm.sysop.worker(name, away ? 'resume' : 'drain')}
          done={
            away
              ? trans.__('%1 takes work again.', name)
              : trans.__('%1 takes nothing new.', name)
          }
        >
          {away ? trans.__('Resume') : trans.__('Drain')}
        </Act>
        {state !== 'removed' && (
          <button type="button" onClick={() => void remove()}>
            {trans.__('Remove')}
          </button>
        )}
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
        {trans.__('In credits. They stand in the catalogue, which is read anew when it changes.')}
      </p>
      <table className="jp-mtor-table">
        <tbody>
          {models
            .filter(model => model.rates && !model.stands_for?.length)
            .map(model => (
              <tr key={model.name}>
                <th scope="row">{model.name}</th>
                <td>{pricesOf(model.rates!, trans).join(', ')}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </>
  );
}
