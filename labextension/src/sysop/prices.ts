// What a model costs, as people read it: credits, by amounts that one meets. Pure.
import type { TranslationBundle } from '@jupyterlab/translation';
import { credits } from '../common/figures';
import type { RateCard } from '../protocol';

/** Return the prices of a card: `0.01 for 1,000 words written`. */
export function pricesOf(card: RateCard, trans: TranslationBundle): string[] {
  if (card.free) {
    return [trans.__('free')];
  }
  const per: [number | undefined, number, (amount: string) => string][] = [
    [card.query_micro, 1, amount => trans.__('%1 a query', amount)],
    [card.input_token_micro, 1000, amount => trans.__('%1 for 1,000 tokens read', amount)],
    [card.output_token_micro, 1000, amount => trans.__('%1 for 1,000 tokens written', amount)],
    [card.image_micro, 1, amount => trans.__('%1 a picture', amount)],
    [card.megapixel_step_micro, 1, amount => trans.__('%1 for a million pixels a step', amount)],
    [card.audio_second_micro, 60, amount => trans.__('%1 a minute of sound', amount)],
    [card.character_micro, 1000, amount => trans.__('%1 for 1,000 characters', amount)],
    [card.compute_second_micro, 60, amount => trans.__('%1 a minute of computing', amount)]
  ];
  return per
    .filter(([micro]) => micro)
    .map(([micro, units, words]) => words(credits(micro! * units)));
}
