import { nullTranslator } from '@jupyterlab/translation';
import { deedOf } from './deeds';

const trans = nullTranslator.load('mtor_realm');

function said(action: string, subject = 'ann', details = '{}'): string {
  return deedOf({ id: 1, at: 0, actor: 'owner', action, subject, reason: '', details }, trans);
}

test('the log tells in words who did what', () => {
  expect(said('stop_queries')).toBe('owner stopped all queries of ann');
  expect(said('grant', 'ann', '{"micro":2500000}')).toBe('owner granted ann 2.50 credits');
  expect(said('unpause', '')).toBe('owner opened admission');
});

test('what is not known, or not to be read, is told as it stands', () => {
  expect(said('polish', 'shoes')).toBe('owner · polish shoes');
  expect(said('grant', 'ann', 'nonsense')).toBe('owner granted ann 0 credits');
});
