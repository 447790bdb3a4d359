// How far a query is, in words.
import type { TranslationBundle } from '@jupyterlab/translation';
import { span } from '../common/figures';
import type { IRunning } from '../tokens';

/** Say in a few words what a query waits for. */
export function stageOf(running: IRunning, trans: TranslationBundle): string {
  switch (running.stage) {
    case 'sending':
      return trans.__('Sending…');
    case 'queued':
      if (running.position === null) {
        return trans.__('Waiting…');
      }
      if (running.position === 0) {
        return running.eta === null
          ? trans.__('Waiting: you are next')
          : trans.__('Waiting: you are next, in about %1', span(running.eta));
      }
      return running.eta === null
        ? trans.__('Waiting: %1 before you', running.position)
        : trans.__('Waiting: %1 before you, about %2', running.position, span(running.eta));
    case 'running':
      if (running.fraction !== null) {
        return `${Math.round(100 * running.fraction)} % ${running.note}`;
      }
      return trans.__('Thinking…');
    default:
      return '';
  }
}
