// The audit log's entries, in words. Pure.
import type { TranslationBundle } from '@jupyterlab/translation';
import { credits } from '../common/figures';
import type { IAuditEntry } from '../tokens';

/** Say who did what; an act that is not known as the realm calls it. */
export function deedOf(entry: IAuditEntry, trans: TranslationBundle): string {
  const { actor, action, subject } = entry;
  switch (action) {
    case 'ban':
      return trans.__('%1 banned %2', actor, subject);
    case 'unban':
      return trans.__('%1 let %2 in again', actor, subject);
    case 'stop_queries':
      return trans.__('%1 stopped all queries of %2', actor, subject);
    case 'grant':
      return trans.__('%1 granted %2 %3 credits', actor, subject, credits(microOf(entry)));
    case 'quota':
      return trans.__('%1 set limits for %2', actor, subject);
    case 'pause':
      return trans.__('%1 paused admission', actor);
    case 'unpause':
      return trans.__('%1 opened admission', actor);
    case 'drain':
      return trans.__('%1 drained %2', actor, subject);
    case 'resume':
      return trans.__('%1 had %2 resume', actor, subject);
    case 'remove':
      return trans.__('%1 removed %2', actor, subject);
    case 'load':
      return trans.__('%1 loaded %2', actor, subject);
    case 'unload':
      return trans.__('%1 unloaded %2', actor, subject);
    case 'reload':
      return trans.__('%1 had the catalogue read anew', actor);
    case 'pull':
      return trans.__('%1 had %2 fetched', actor, subject);
    case 'stop-pull':
      return trans.__('%1 stopped the fetching of %2', actor, subject);
    case 'stop':
      return trans.__('%1 stopped the realm', actor);
    case 'notice':
      return trans.__('%1 told everybody', actor);
    default:
      return `${actor} · ${action} ${subject}`;
  }
}

/** Return the credits that an entry's figures name. */
function microOf({ details }: IAuditEntry): number {
  try {
    return (JSON.parse(details) as { micro?: number }).micro ?? 0;
  } catch {
    return 0;
  }
}
