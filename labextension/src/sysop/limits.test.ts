import { limitOf, shown } from './limits';

test('credits and megabytes are written as people count them', () => {
  expect(limitOf('credits_per_day_micro', '2.5')).toBe(2_500_000);
  expect(limitOf('blob_bytes', '64')).toBe(64_000_000);
  expect(shown('credits_per_month_micro', 1_500_000)).toBe('1.5');
});

test('what is counted is a whole number', () => {
  expect(limitOf('running', '2')).toBe(2);
  expect(limitOf('running', '0')).toBe(0);
  expect(limitOf('waiting', '2.5')).toBeNull();
});

test.each(['', ' ', '-1', 'many', 'NaN', '1e400'])('%j is no limit', written => {
  expect(limitOf('tokens_per_day', written)).toBeNull();
});
