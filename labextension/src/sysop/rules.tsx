// What is ruled for whom: for a role, a group or one person; any rule of theirs.
import React, { useState } from 'react';
import { useLoaded } from '../common/loading';
import type { Quotas, RuleInfo } from '../protocol';
import { Act } from './act';
import { limitOf, namesOf, NO_LIMIT, shown, type Rule } from './limits';
import type { ISectionProps } from './sysop';

type Kind = RuleInfo['kind'];

export function Rules(props: ISectionProps): JSX.Element {
  const { realm, trans, acts } = props;
  const { value: rules, trouble } = useLoaded(() => realm.sysop.rules(), [], [realm, acts]);
  const [kind, setKind] = useState<Kind>('role');
  const [subject, setSubject] = useState('user');
  const kinds: Record<Kind, string> = {
    role: trans.__('Role'),
    group: trans.__('Group'),
    person: trans.__('Person')
  };
  const known = rules.find(one => one.kind === kind && one.subject === subject.trim());
  return (
    <section aria-label={trans.__('Limits of use')}>
      <h2>{trans.__('Limits of use')}</h2>
      <p className="jp-mtor-quiet">
        {trans.__('A person’s own go before those of their groups, and these before their role’s.')}
      </p>
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      <ul className="jp-mtor-list">
        {rules.map(rule => (
          <li key={`${rule.kind} ${rule.subject}`}>
            {kinds[rule.kind]} {rule.subject}
            {!rule.live && <span className="jp-mtor-quiet"> {trans.__('(configuration)')}</span>}
            <Figures quotas={rule.quotas} {...props} />
          </li>
        ))}
      </ul>
      <div className="jp-mtor-row">
        <select
          className="jp-mtor-select"
          aria-label={trans.__('For what kind')}
          value={kind}
          onChange={event => {
            setKind(event.target.value as Kind);
            setSubject(event.target.value === 'role' ? 'user' : '');
          }}
        >
          {Object.entries(kinds).map(([name, words]) => (
            <option key={name} value={name}>
              {words}
            </option>
          ))}
        </select>
        <input
          className="jp-mtor-input"
          aria-label={trans.__('For whom')}
          placeholder={trans.__('For whom')}
          value={subject}
          onChange={event => setSubject(event.target.value)}
        />
      </div>
      {subject.trim() && <Ruling {...props} kind={kind} subject={subject.trim()} known={known} />}
    </section>
  );
}

/** The rules that say something, with their figures. */
function Figures(props: ISectionProps & { quotas: Quotas }): JSX.Element {
  const { quotas, trans } = props;
  const names = namesOf(trans);
  const said = (Object.keys(names) as Rule[]).filter(rule => typeof quotas[rule] === 'number');
  return (
    <div className="jp-mtor-quiet">
      {said
        .map(rule => {
          const limit = quotas[rule]!;
          return `${names[rule]}: ${limit === NO_LIMIT ? trans.__('no limit') : shown(rule, limit)}`;
        })
        .join(' · ')}
    </div>
  );
}

/** One rule for one of them: what they have besides stays as it is. */
export function Ruling(
  props: ISectionProps & { kind: Kind; subject: string; known?: RuleInfo; reason?: string }
): JSX.Element {
  const { realm, trans, act, kind, subject, known, reason = '' } = props;
  const names = namesOf(trans);
  const [rule, setRule] = useState<Rule>('credits_per_day_micro');
  const [written, setWritten] = useState('');
  const limit = limitOf(rule, written);
  const rest = known?.live ? known.quotas : {};
  const set = (figure: number | null) => () =>
    realm.sysop.rule(kind, subject, { ...rest, [rule]: figure }, reason);
  const done = trans.__('%1 is ruled for %2.', names[rule], subject);
  return (
    <form
      className="jp-mtor-bar"
      onSubmit={event => {
        event.preventDefault();
        if (limit !== null) {
          void act(set(limit), done);
        }
      }}
    >
      <select
        className="jp-mtor-select"
        aria-label={trans.__('Rule')}
        value={rule}
        onChange={event => setRule(event.target.value as Rule)}
      >
        {Object.entries(names).map(([name, words]) => (
          <option key={name} value={name}>
            {words}
          </option>
        ))}
      </select>
      <input
        className="jp-mtor-number"
        inputMode="decimal"
        aria-label={trans.__('Limit')}
        placeholder={trans.__('Limit')}
        value={written}
        onChange={event => setWritten(event.target.value)}
      />
      <button type="submit" disabled={limit === null}>
        {trans.__('Set')}
      </button>
      <Act act={act} does={set(NO_LIMIT)} done={done}>
        {trans.__('No limit')}
      </Act>
      <Act
        act={act}
        does={() => realm.sysop.rule(kind, subject, null, reason)}
        done={trans.__('What was ruled for %1 is taken back.', subject)}
        disabled={!known?.live}
      >
        {trans.__('Take back')}
      </Act>
    </form>
  );
}
