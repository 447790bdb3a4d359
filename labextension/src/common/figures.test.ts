import { bytes, credits, span } from './figures';

test('amounts are shown as the realm shows them', () => {
  expect([1_500_000, 1_234, 0, -1_260].map(credits)).toEqual(['1.50', '0.00123', '0', '-0.00126']);
});

test('time spans are shown in the unit that fits', () => {
  expect([0.94, 12.3, 90, 3900].map(span)).toEqual(['0.9 s', '12 s', '2 min', '1 h 5 min']);
});

test('sizes are shown in the unit that fits', () => {
  expect([512, 1_400_000, 257_000_000].map(bytes)).toEqual(['512 B', '1.4 MB', '257 MB']);
});
