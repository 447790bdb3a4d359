// Everybody who was ever here.
import React, { useState } from 'react';
import { credits, MICRO } from '../common/figures';
import { useLoaded } from '../common/loading';
import type { PersonInfo, RuleInfo } from '../protocol';
import { Act } from './act';
import { Ruling } from './rules';
import type { ISectionProps } from './sysop';

export function People(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const [search, setSearch] = useState('');
  const { value: people, trouble } = useLoaded(() => realm.sysop.people(), [], [realm, acts]);
  const { value: rules } = useLoaded(() => realm.sysop.rules(), [], [realm, acts]);
  const wanted = search.trim().toLowerCase();
  const shown = people.filter(({ name, groups }) =>
    [name, ...(groups ?? [])].some(one => one.toLowerCase().includes(wanted))
  );
  return (
    <section aria-label={trans.__('People')}>
      <h2>{trans.__('People')}</h2>
      <input
        type="search"
        className="jp-mtor-input"
        aria-label={trans.__('Search people and groups')}
        placeholder={trans.__('Search people and groups')}
        value={search}
        onChange={event => setSearch(event.target.value)}
      />
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {shown.map(person => (
          <Person
            key={person.name}
            {...props}
            person={person}
            rule={rules.find(one => one.kind === 'person' && one.subject === person.name)}
          />
        ))}
      </ul>
    </section>
  );
}

function Person(props: ISectionProps & { person: PersonInfo; rule?: RuleInfo }): JSX.Element {
  const { realm, trans, act, person, rule } = props;
  const [reason, setReason] = useState('');
  const [given, setGiven] = useState('');
  const { name } = person;
  const banned = person.banned_at !== null && person.banned_at !== undefined;
  const micro = Math.round(Number(given) * MICRO);
  return (
    <li>
      <details>
        <summary>
          <span className="jp-mtor-ellipsis">{name}</span>
          <span className="jp-mtor-quiet">
            {[person.role, ...(person.groups ?? [])].join(' · ')} ·{' '}
            {person.unlimited
              ? trans.__('no limit of credits')
              : trans.__('%1 credits', credits(person.balance_micro ?? 0))}
            {banned && ` · ${trans.__('banned')}: ${person.ban_reason || '–'}`}
          </span>
        </summary>
        <input
          className="jp-mtor-input"
          aria-label={trans.__('Reason')}
          placeholder={trans.__('Reason, for the audit log')}
          value={reason}
          onChange={event => setReason(event.target.value)}
        />
        <div className="jp-mtor-bar">
          {banned ? (
            <Act
              act={act}
              does={() => realm.sysop.unban(name, reason)}
              done={trans.__('%1 is let in again.', name)}
            >
              {trans.__('Unban')}
            </Act>
          ) : (
            <Act
              act={act}
              does={() => realm.sysop.ban(name, reason)}
              done={trans.__('%1 is banned.', name)}
            >
              {trans.__('Ban')}
            </Act>
          )}
          <Act
            act={act}
            does={() => realm.sysop.stopQueries(name, reason)}
            done={count =>
              trans._n('%1 query of %2 is stopped.', '%1 queries of %2 are stopped.', count, name)
            }
          >
            {trans.__('Stop all queries')}
          </Act>
        </div>
        <form
          className="jp-mtor-row"
          onSubmit={event => {
            event.preventDefault();
            void act(
              () => realm.sysop.grant(name, micro, reason),
              trans.__('%1 has %2 credits more.', name, given)
            );
            setGiven('');
          }}
        >
          <input
            className="jp-mtor-input"
            inputMode="decimal"
            aria-label={trans.__('Credits to grant')}
            placeholder={trans.__('Credits to grant')}
            value={given}
            onChange={event => setGiven(event.target.value)}
          />
          <button type="submit" disabled={!Number.isSafeInteger(micro) || micro === 0}>
            {trans.__('Grant')}
          </button>
        </form>
        <Ruling {...props} kind="person" subject={name} known={rule} reason={reason} />
      </details>
    </li>
  );
}
