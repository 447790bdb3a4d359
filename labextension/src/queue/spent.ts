// What a query has cost until now, about: the realm reckons exactly only at its end. Pure.
import { answersOf, wordsOf } from '../common/rows';
import type { RateCard } from '../protocol';
import type { IRunning } from '../tokens';

/** How many characters a token of English has, about. */
const TOKEN_CHARACTERS = 4;

type Query = Pick<IRunning, 'stage' | 'fraction' | 'hold' | 'text' | 'parts' | 'query'>;

/**
 * Return it in micro-credits, never more than is held; `null` where nothing has begun. A picture and
 * a sound cost by how much of them is done, words by how many have come, rows by how many of them
 * have an answer.
 */
export function spentSoFar(running: Query, card: RateCard): number | null {
  if (running.stage !== 'running') {
    return null;
  }
  if (card.free) {
    return 0;
  }
  const answers = answersOf(running.parts).filter(one => !one.error);
  const fee = (card.query_micro ?? 0) * Math.max(1, answers.length);
  const words = running.text + answers.map(wordsOf).join('');
  const work = running.fraction && answers.length === 0
    ? running.fraction * (running.hold - fee)
    : tokens(asked(running)) * (card.input_token_micro ?? 0) +
      tokens(words) * (card.output_token_micro ?? 0);
  return Math.min(running.hold, Math.round(fee + work));
}

function tokens(text: string): number {
  return Math.ceil(text.length / TOKEN_CHARACTERS);
}

/** The words of the question; none of one that was asked elsewhere. */
function asked(running: Query): string {
  const parts = running.query?.messages.flatMap(message => message.parts) ?? [];
  return parts.map(part => (part.type === 'text' ? part.text : '')).join('');
}
