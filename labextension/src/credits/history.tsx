// What one has asked, to be searched and opened again.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useState } from 'react';
import { credits } from '../common/figures';
import { useCount, useRested } from '../common/hooks';
import { usePaged } from '../common/loading';
import { More } from '../common/more';
import type { QueryInfo } from '../protocol';
import { Answer } from '../talk/answer';
import type { IRealm, Part } from '../tokens';

interface IHistoryProps {
  realm: IRealm;
  registry: RenderMimeRegistry;
  trans: TranslationBundle;
}

/** How long nobody may type before the realm is searched. */
const SEARCH_MS = 300;

export function History(props: IHistoryProps): JSX.Element {
  const { realm, trans } = props;
  const [search, setSearch] = useState('');
  const spent = useCount(realm.spent);
  const sought = useRested(search, SEARCH_MS);
  const { value, trouble, more } = usePaged(
    before => realm.history(sought, before),
    [realm, sought],
    spent
  );
  return (
    <>
      <h2>{trans.__('History')}</h2>
      <input
        type="search"
        className="jp-mtor-input"
        placeholder={trans.__('Search what you asked')}
        aria-label={trans.__('Search what you asked')}
        value={search}
        onChange={event => setSearch(event.target.value)}
      />
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {value.map(row => (
          <Asked key={row.id} {...props} row={row} />
        ))}
      </ul>
      <More more={more} trans={trans} />
    </>
  );
}

function Asked(props: IHistoryProps & { row: QueryInfo }): JSX.Element {
  const { realm, registry, row, trans } = props;
  const [whole, setWhole] = useState<QueryInfo | null>(null);
  const [trouble, setTrouble] = useState('');
  const toggle = (event: React.SyntheticEvent<HTMLDetailsElement>): void => {
    if (event.currentTarget.open && whole === null) {
      realm.info(row.id).then(setWhole, (reason: Error) => setTrouble(reason.message));
    }
  };
  const when = new Date(row.created_at * 1000).toLocaleString();
  const cost = row.charge ? ` · ${trans.__('%1 credits', credits(row.charge.amount_micro ?? 0))}` : '';
  return (
    <li>
      <details onToggle={toggle}>
        <summary>
          <span className="jp-mtor-ellipsis" dir="auto">{row.prompt || trans.__('(no words)')}</span>
          <span className="jp-mtor-quiet">
            {when} · {row.model} · {row.stage}
            {cost}
          </span>
        </summary>
        {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
        {row.error && <p className="jp-mtor-trouble">{row.error.message}</p>}
        {whole?.answer?.parts && (
          <Answer
            {...{ realm, registry, trans }}
            parts={whole.answer.parts as Part[]}
            asked={whole.query?.rows}
          />
        )}
      </details>
    </li>
  );
}
