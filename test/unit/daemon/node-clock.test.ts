import { afterEach, describe, expect, test } from 'vitest';
import { createNodeClock } from '../../../daemon/node-clock.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { RELEASED_AT } from '../../../protocols/wire/release-date.ts';

const START = Date.UTC(2026, 10, 28);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365.25 * 24 * HOUR;
const stops: (() => void)[] = [];
afterEach(() => stops.splice(0).forEach((stop) => stop()));

function started(wallAt = START) {
  const state = { wall: wallAt, steady: 1000, steps: [] as number[] };
  const clock = createNodeClock({
    env: { ...systemEnv, now: () => state.wall, monotonic: () => state.steady },
    onStep: (step) => void state.steps.push(step),
  });
  clock.start();
  stops.push(clock.stop);
  const pass = (ms: number): void => {
    // Somebody looks at it now and then, as the node does.
    for (let left = ms; left > 0; left -= 5000) {
      state.wall += Math.min(left, 5000);
      state.steady += Math.min(left, 5000);
      clock.now();
    }
  };
  const jump = (ms: number): void => {
    state.wall += ms;
    clock.now();
  };
  return { state, clock, pass, jump };
}

describe('a clock that is wrong for a minute', () => {
  test.each([
    ['+40 years', 40 * YEAR, false],
    ['-56 years', -56 * YEAR, false],
    ['+3 h', 3 * HOUR, true],
    ['+10 years', 10 * YEAR, true],
    ['-3 h', -3 * HOUR, true],
  ])(
    '%s: what cannot be undone does not go by it, and all is as before when it is right again',
    (_, by, can) => {
      const { state, clock, pass, jump } = started();
      pass(HOUR);
      jump(by);
      pass(MINUTE);
      const right = START + HOUR + MINUTE;
      expect(clock.credible()).toBe(can);
      expect(clock.now()).toBe(can ? right + by : right);
      expect(clock.cautious()).toBe(can && by < 0 ? right + by : right);
      jump(-by);
      expect([clock.now(), clock.credible()]).toEqual([right, true]);
      pass(11 * MINUTE);
      expect([clock.cautious(), clock.doubtedMs()]).toEqual([right + 11 * MINUTE, 0]);
      expect(state.steps).toEqual([Math.round(by), Math.round(-by)]);
    },
  );

  test('a step forward is believed by everything once it has stood for ten minutes, a step back at once', () => {
    const { clock, pass, jump } = started();
    jump(3 * HOUR);
    pass(9 * MINUTE);
    expect(clock.cautious()).toBe(START + 9 * MINUTE);
    pass(2 * MINUTE);
    expect(clock.cautious()).toBe(START + 3 * HOUR + 11 * MINUTE);
    jump(-HOUR);
    expect(clock.cautious()).toBe(START + 2 * HOUR + 11 * MINUTE);
  });

  test('another step meanwhile begins the ten minutes anew; NTP’s small ones do not', () => {
    const { clock, pass, jump } = started();
    jump(HOUR);
    pass(8 * MINUTE);
    jump(HOUR);
    pass(8 * MINUTE);
    jump(1000);
    expect(clock.doubtedMs()).toBe(2 * HOUR + 1000);
    pass(3 * MINUTE);
    expect(clock.doubtedMs()).toBe(0);
  });

  test('a process that begins in 1970, or in 2066, dates nothing before the release and is right the moment the clock is', () => {
    for (const wrong of [MINUTE, START + 40 * YEAR]) {
      const { state, clock, pass } = started(wrong);
      pass(MINUTE);
      expect([clock.now(), clock.cautious(), clock.credible()]).toEqual([
        RELEASED_AT + MINUTE,
        RELEASED_AT + MINUTE,
        false,
      ]);
      state.wall = START;
      expect([clock.now(), clock.cautious(), clock.credible()]).toEqual([START, START, true]);
    }
  });
});
