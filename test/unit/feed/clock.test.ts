import { expect, test } from 'vitest';
import { compareTimes, createClock, type HlcTime } from '../../../protocols/feed/clock.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';

test('every reading is later than the one before, also when the wall clock stands or goes back', () => {
  let wall = 1000;
  const clock = createClock(() => wall);
  let last: HlcTime = [0, 0];
  for (const now of [1000, 1000, 1001, 900, 900, 1001, 1002]) {
    wall = now;
    const reading = clock.tick();
    expect(compareTimes(reading, last)).toBeGreaterThan(0);
    last = reading;
  }
  expect(last).toEqual([1002, 0]);
});

test('a reading is later than what was observed', () => {
  const clock = createClock(() => 1000);
  clock.observe([1000 + LIMITS.clockAheadMs, 7]);
  expect(clock.tick()).toEqual([1000 + LIMITS.clockAheadMs, 8]);
  clock.observe([1000 + LIMITS.clockAheadMs, 3]);
  expect(clock.tick()).toEqual([1000 + LIMITS.clockAheadMs, 9]);
});

test('a clock more than five minutes ahead does not move this one', () => {
  const clock = createClock(() => 1000);
  clock.observe([1000 + LIMITS.clockAheadMs + 1, 0]);
  expect(clock.tick()).toEqual([1000, 0]);
});

test('a clock that was ahead comes back as soon as it is set right, whatever it has stamped meanwhile', () => {
  let wall = Date.UTC(2026, 10, 28);
  const clock = createClock(() => wall);
  clock.tick();
  for (const jump of [40 * 365 * 86_400_000, 10 * 365 * 86_400_000, 3 * 3_600_000]) {
    wall += jump;
    expect(clock.tick()).toEqual([wall, 0]);
    wall -= jump - 60_000;
    expect(clock.tick()).toEqual([wall, 0]);
  }
  wall -= LIMITS.clockAheadMs; // as far as a peer may move it, it stays in order
  expect(clock.tick()).toEqual([wall + LIMITS.clockAheadMs, 1]);
});
