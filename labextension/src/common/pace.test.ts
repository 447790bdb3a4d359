import { Pace } from './pace';

/** Show something so often, each in a frame that takes so long; return the pause after that. */
function pauseAfter(times: number, took: number, pace = new Pace()): number {
  let now = 0;
  for (let count = 0; count < times; count++) {
    now += 10_000;
    pace.begin(now);
    pace.end(now + took);
  }
  let pause = 0;
  while (!pace.due(now + pause)) {
    pause++;
  }
  return pause;
}

test('the first words are shown at once', () => {
  expect(new Pace().due(0)).toBe(true);
});

test('words come often where frames are in time', () => {
  expect(pauseAfter(1, 17)).toBe(50);
  expect(pauseAfter(9, 8)).toBe(50);
});

test('they come half as often with each frame that is late, but something moves', () => {
  expect(pauseAfter(1, 34)).toBe(100);
  expect(pauseAfter(2, 34)).toBe(200);
  expect(pauseAfter(9, 500)).toBe(600);
});

test('they come more often again when frames are in time', () => {
  const pace = new Pace();
  pauseAfter(9, 34, pace);
  expect(pauseAfter(5, 17, pace)).toBeLessThan(360);
  expect(pauseAfter(30, 17, pace)).toBe(50);
});
