// Who did what, the latest first.
import React from 'react';
import { usePaged } from '../common/loading';
import { More } from '../common/more';
import { deedOf } from './deeds';
import type { ISectionProps } from './sysop';

export function Audit(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const { value, trouble, more } = usePaged(before => realm.sysop.audit(before), [realm, acts]);
  return (
    <section aria-label={trans.__('Audit log')}>
      <h2>{trans.__('Audit log')}</h2>
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {value.map(entry => (
          <li key={entry.id}>
            <div>{deedOf(entry, trans)}</div>
            <div className="jp-mtor-quiet">
              {new Date(entry.at * 1000).toLocaleString()} {entry.reason}
            </div>
          </li>
        ))}
      </ul>
      <More more={more} trans={trans} />
    </section>
  );
}
