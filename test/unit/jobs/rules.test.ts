import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../daemon/jobs/backoff.ts';
import { breakerAfter, type BreakerState, CLOSED } from '../../../daemon/jobs/breaker.ts';

describe('backoff', () => {
  it('doubles its ceiling from 1 s to 5 min and jitters over all of it', () => {
    const ceilings = [1, 2, 3, 9, 10, 11, 1000].map((attempts) => backoffMs(attempts, 1));
    expect(ceilings).toEqual([1000, 2000, 4000, 256_000, 300_000, 300_000, 300_000]);
    expect(backoffMs(5, 0)).toBe(0);
    expect(backoffMs(5, 0.25)).toBe(4000);
  });
});

describe('breaker', () => {
  const fail = (state: BreakerState, times: number, now: number): BreakerState =>
    Array.from({ length: times }).reduce<BreakerState>((s) => breakerAfter(s, 'failed', now), state);

  it('opens at the fifth failure in a row, for a minute', () => {
    expect(fail(CLOSED, 4, 1000)).toEqual({ failures: 4, openUntil: 0 });
    expect(fail(CLOSED, 5, 1000)).toEqual({ failures: 5, openUntil: 61_000 });
  });
  it('cools down twice as long after each further failure, up to 30 min', () => {
    const waits = [5, 6, 7, 9, 10, 11, 50].map((times) => fail(CLOSED, times, 0).openUntil / 60_000);
    expect(waits).toEqual([1, 2, 4, 16, 30, 30, 30]);
  });
  it('closes and forgets at a success', () => {
    expect(breakerAfter(fail(CLOSED, 12, 0), 'succeeded', 5)).toEqual(CLOSED);
  });
});
