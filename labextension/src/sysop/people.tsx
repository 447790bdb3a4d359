// Everybody who was ever here.
import React, { useEffect, useState } from 'react';
import { MICRO } from '../common/figures';
import type { IPerson } from '../tokens';
import type { ISectionProps } from './sysop';

export function People(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const [people, setPeople] = useState<IPerson[]>([]);
  const [search, setSearch] = useState('');
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let gone = false;
    realm.sysop.people().then(
      found => gone || setPeople(found),
      (reason: Error) => gone || setTrouble(reason.message)
    );
    return () => {
      gone = true;
    };
  }, [realm, acts]);
  const wanted = search.trim().toLowerCase();
  const shown = people.filter(person => person.name.toLowerCase().includes(wanted));
  return (
    <section aria-label={trans.__('People')}>
      <h2>{trans.__('People')}</h2>
      <input
        type="search"
        className="jp-mtor-input"
        aria-label={trans.__('Search people')}
        placeholder={trans.__('Search people')}
        value={search}
        onChange={event => setSearch(event.target.value)}
      />
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {shown.map(person => (
          <Person key={person.name} {...props} person={person} />
        ))}
      </ul>
    </section>
  );
}

function Person(props: ISectionProps & { person: IPerson }): JSX.Element {
  const { realm, trans, act, person } = props;
  const [reason, setReason] = useState('');
  const [credits, setCredits] = useState('');
  const { name } = person;
  const banned = person.banned_at !== null && person.banned_at !== undefined;
  const micro = Math.round(Number(credits) * MICRO);
  return (
    <li>
      <details>
        <summary>
          <span className="jp-mtor-ellipsis">{name}</span>
          <span className="jp-mtor-quiet">
            {person.role}
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
            <button
              type="button"
              onClick={() =>
                void act(() => realm.sysop.unban(name, reason), trans.__('%1 is let in again.', name))
              }
            >
              {trans.__('Unban')}
            </button>
          ) : (
            <button
              type="button"
              onClick={() =>
                void act(() => realm.sysop.ban(name, reason), trans.__('%1 is banned.', name))
              }
            >
              {trans.__('Ban')}
            </button>
          )}
          <button
            type="button"
            onClick={() =>
              void act(
                () => realm.sysop.stopQueries(name, reason),
                trans.__('The queries of %1 are stopped.', name)
              )
            }
          >
            {trans.__('Stop all queries')}
          </button>
        </div>
        <form
          className="jp-mtor-row"
          onSubmit={event => {
            event.preventDefault();
            void act(
              () => realm.sysop.grant(name, micro, reason),
              trans.__('%1 has %2 credits more.', name, credits)
            );
            setCredits('');
          }}
        >
          <input
            className="jp-mtor-input"
            inputMode="decimal"
            aria-label={trans.__('Credits to grant')}
            placeholder={trans.__('Credits to grant')}
            value={credits}
            onChange={event => setCredits(event.target.value)}
          />
          <button type="submit" disabled={!Number.isSafeInteger(micro) || micro === 0}>
            {trans.__('Grant')}
          </button>
        </form>
        <Rules {...props} reason={reason} />
      </details>
    </li>
  );
}

/** The rules that can be set for one person, with what they limit. */
const RULES = [
  'queries_per_minute', 'tokens_per_day', 'credits_per_day_micro', 'running', 'waiting'
] as const; // prettier-ignore

function Rules(props: ISectionProps & { person: IPerson; reason: string }): JSX.Element {
  const { realm, trans, act, person, reason } = props;
  const [rule, setRule] = useState<(typeof RULES)[number]>(RULES[0]);
  const [limit, setLimit] = useState('');
  const wanted = Number(limit);
  return (
    <form
      className="jp-mtor-bar"
      onSubmit={event => {
        event.preventDefault();
        void act(
          () => realm.sysop.setQuota(person.name, { [rule]: wanted }, reason),
          trans.__('A rule of their own holds for %1.', person.name)
        );
      }}
    >
      <select
        className="jp-mtor-select"
        aria-label={trans.__('Rule')}
        value={rule}
        onChange={event => setRule(event.target.value as (typeof RULES)[number])}
      >
        {RULES.map(name => (
          <option key={name} value={name}>
            {name.replace(/_/g, ' ')}
          </option>
        ))}
      </select>
      <input
        className="jp-mtor-number"
        inputMode="numeric"
        aria-label={trans.__('Limit')}
        placeholder={trans.__('Limit')}
        value={limit}
        onChange={event => setLimit(event.target.value)}
      />
      <button type="submit" disabled={limit === '' || !Number.isSafeInteger(wanted) || wanted < 0}>
        {trans.__('Set')}
      </button>
      <button
        type="button"
        onClick={() =>
          void act(
            () => realm.sysop.setQuota(person.name, null, reason),
            trans.__('The rules of their role hold for %1.', person.name)
          )
        }
      >
        {trans.__("The role's again")}
      </button>
    </form>
  );
}
