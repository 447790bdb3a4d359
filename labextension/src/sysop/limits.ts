// Limits of use, as people write them: credits and megabytes, not their millionths. Pure.
import type { TranslationBundle } from '@jupyterlab/translation';
import { MICRO } from '../common/figures';
import type { Quotas } from '../protocol';

export type Rule = keyof Quotas;

/** Says "no limit", also where a wider rule sets one. */
export const NO_LIMIT = -1;

/** How many of the realm's units one of the people's is; 1 where they are the same. */
const UNITS: Partial<Record<Rule, number>> = {
  credits_per_day_micro: MICRO,
  credits_per_month_micro: MICRO,
  blob_bytes: 1_000_000
};

/** Every rule with its name, in the order in which they are shown. */
export function namesOf(trans: TranslationBundle): Record<Rule, string> {
  return {
    credits_per_day_micro: trans.__('Credits a day'),
    credits_per_month_micro: trans.__('Credits a month'),
    tokens_per_day: trans.__('Tokens a day'),
    queries_per_minute: trans.__('Queries a minute'),
    running: trans.__('Running at once'),
    waiting: trans.__('Waiting at once'),
    blob_bytes: trans.__('Pictures and sounds kept, in MB')
  };
}

/** Return the limit that somebody wrote; `null` where that is no figure. */
export function limitOf(rule: Rule, written: string): number | null {
  const limit = Number(written) * (UNITS[rule] ?? 1);
  const isLimit = written.trim() !== '' && limit >= 0 && Number.isSafeInteger(Math.round(limit));
  return isLimit && (UNITS[rule] || Number.isInteger(limit)) ? Math.round(limit) : null;
}

/** Return a limit, or what is used of it, as people write it. */
export function shown(rule: Rule, limit: number): string {
  return String(limit / (UNITS[rule] ?? 1));
}
