// Who is to answer.
import React, { useReducer } from 'react';
import { useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { ITalkProps } from './talk';

/** The models that talk, and the names that stand for them. */
export function ModelPicker(props: ITalkProps): JSX.Element {
  const { conversation, realm, trans } = props;
  useSignals(realm.connectionChanged);
  // Who serves what may have changed by the time that somebody looks at the list.
  const [looks, look] = useReducer((count: number) => count + 1, 0);
  // What goes wrong here, the connection's own state tells.
  const { value: models } = useLoaded(() => realm.models(), [], [realm, realm.connection, looks]);
  const talking = models.filter(one => one.modality === 'chat' || one.modality === 'vision');
  const known = talking.some(one => one.name === conversation.model);
  return (
    <select
      className="jp-mtor-select"
      aria-label={trans.__('Model')}
      onFocus={look}
      value={conversation.model}
      title={talking.find(one => one.name === conversation.model)?.description}
      onChange={event => {
        conversation.model = event.target.value;
      }}
    >
      {!known && <option value={conversation.model}>{conversation.model}</option>}
      {talking.map(one => (
        <option key={one.name} value={one.name}>
          {one.stands_for?.length ? `${one.name} → ${one.stands_for[0]}` : one.name}
          {one.slots ? '' : ` (${trans.__('nobody serves it now')})`}
        </option>
      ))}
    </select>
  );
}
