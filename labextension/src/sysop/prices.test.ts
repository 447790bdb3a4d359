import { nullTranslator } from '@jupyterlab/translation';
import { pricesOf } from './prices';

const trans = nullTranslator.load('mtor_realm');

test('prices are credits for amounts that one meets', () => {
  expect(pricesOf({ query_micro: 7, output_token_micro: 5, audio_second_micro: 100 }, trans)).toEqual([
    '0.000007 a query',
    '0.005 for 1,000 tokens written',
    '0.006 a minute of sound'
  ]);
});

test('what costs nothing says so', () => {
  expect(pricesOf({ free: true }, trans)).toEqual(['free']);
});
