// What one has, what one has spent, and what one has asked.
import type { RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import { downloadIcon } from '@jupyterlab/ui-components';
import React from 'react';
import { IconButton } from '../common/button';
import { credits } from '../common/figures';
import { useCount, useSignals } from '../common/hooks';
import { useLoaded } from '../common/loading';
import type { Me, UsageRow } from '../protocol';
import { saveAs } from '../common/files';
import type { IRealm } from '../tokens';
import { namesOf, shown, type Rule } from '../sysop/limits';
import { History } from './history';
import { Spent } from './spent';

const DAYS = 30;

export function Credits(props: {
  realm: IRealm;
  registry: RenderMimeRegistry;
  trans: TranslationBundle;
}): JSX.Element {
  const { realm, trans } = props;
  useSignals(realm.connectionChanged);
  const open = realm.connection === 'open';
  const spent = useCount(realm.spent);
  const { value: me, trouble } = useLoaded<Me | null>(() => realm.me(), null, [realm, open, spent]);
  const { value: usage } = useLoaded(() => realm.usage(DAYS), [], [realm, open, spent]);
  // Whose account has no floor may well stand below nothing: that is what was spent.
  const owes = me?.unlimited && (me.balance_micro ?? 0) < 0;
  const names = namesOf(trans);
  return (
    <div className="jp-mtor-scroll">
      {trouble && <p className="jp-mtor-trouble">{trouble}</p>}
      {me && (
        <dl className="jp-mtor-figures">
          <dt>{owes ? trans.__('Spent so far') : trans.__('Balance')}</dt>
          <dd>
            {credits(owes ? -me.balance_micro! : (me.balance_micro ?? 0))}
            {me.unlimited && <span className="jp-mtor-quiet"> {trans.__('(no limit)')}</span>}
          </dd>
          <dt>{trans.__('Held')}</dt>
          <dd>{credits(me.held_micro ?? 0)}</dd>
          {(me.quotas ?? []).map(quota => (
            <React.Fragment key={quota.rule}>
              <dt>{names[quota.rule as Rule] ?? quota.rule}</dt>
              <dd title={quota.set_for && trans.__('Set for: %1', quota.set_for)}>
                {shown(quota.rule as Rule, quota.used ?? 0)} /{' '}
                {shown(quota.rule as Rule, quota.limit)}
              </dd>
            </React.Fragment>
          ))}
        </dl>
      )}
      <div className="jp-mtor-row">
        <h2>{trans.__('Spent in %1 days', DAYS)}</h2>
        <IconButton
          icon={downloadIcon}
          label={trans.__('Export as CSV')}
          onClick={() => saveAs(new Blob([csv(usage)], { type: 'text/csv' }), 'mtor-usage.csv')}
        />
      </div>
      <Spent rows={usage} days={DAYS} trans={trans} />
      <History {...props} />
    </div>
  );
}

/** Return rows as CSV (RFC 4180). */
export function csv(rows: ReadonlyArray<UsageRow>): string {
  const names: (keyof UsageRow)[] = [
    'day', 'model', 'queries', 'charge_micro', 'input_tokens', 'output_tokens'
  ]; // prettier-ignore
  const lines = rows.map(row => names.map(name => String(row[name] ?? 0)).join(','));
  return [names.join(','), ...lines].join('\r\n') + '\r\n';
}
