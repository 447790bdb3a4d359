// How a worker is, in a word.
import type { TranslationBundle } from '@jupyterlab/translation';

/** Return a worker's state in the user's language; one that is not known as the realm says it. */
export function stateOf(state: string, trans: TranslationBundle): string {
  const states: Record<string, string> = {
    well: trans.__('well'),
    sick: trans.__('sick'),
    draining: trans.__('draining'),
    lost: trans.__('lost'),
    removed: trans.__('removed')
  };
  return states[state] ?? state;
}
