// Who did what, the latest first.
import React, { useEffect, useState } from 'react';
import type { IAuditEntry } from '../tokens';
import type { ISectionProps } from './sysop';

export function Audit(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const [entries, setEntries] = useState<IAuditEntry[]>([]);
  const [next, setNext] = useState('');
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let gone = false;
    realm.sysop.audit().then(
      page => {
        if (!gone) {
          setEntries(page.items);
          setNext(page.next ?? '');
        }
      },
      (reason: Error) => gone || setTrouble(reason.message)
    );
    return () => {
      gone = true;
    };
  }, [realm, acts]);
  const more = async (): Promise<void> => {
    const page = await realm.sysop.audit(next);
    setEntries([...entries, ...page.items]);
    setNext(page.next ?? '');
  };
  return (
    <section aria-label={trans.__('Audit log')}>
      <h2>{trans.__('Audit log')}</h2>
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {entries.map(entry => (
          <li key={entry.id}>
            <div>
              {entry.actor} · {entry.action} {entry.subject}
            </div>
            <div className="jp-mtor-quiet">
              {new Date(entry.at * 1000).toLocaleString()} {entry.reason}
            </div>
          </li>
        ))}
      </ul>
      {next && (
        <button type="button" className="jp-mtor-more" onClick={() => void more()}>
          {trans.__('More')}
        </button>
      )}
    </section>
  );
}
