import { LIMITS } from '../wire/limits.ts';

/** A hybrid logical clock reading: milliseconds since 1970 and a counter (Kulkarni et al. 2014). For display and sorting only. */
export type HlcTime = readonly [ms: number, counter: number];

export interface Clock {
  /** A reading later than every earlier one, unless the wall clock was set back by more than what a peer may move this one. */
  tick(): HlcTime;
  /** Takes another node's reading in, unless it is too far ahead of our wall clock. */
  observe(time: HlcTime): void;
}

/** How a clock begins. */
export interface ClockStart {
  /** The newest time that this node has signed: it goes on from there. */
  readonly last?: HlcTime | undefined;
  /** Whether the wall clock reads what can be; without it, it does. While it does not, nothing is set back by it. */
  readonly credible?: (() => boolean) | undefined;
}

/**
 * The own clock. It is never further ahead of the wall clock than a peer could have moved it: when that was wrong and is set back, this
 * one follows, and a later entry has an earlier time. Nothing but display depends on the order of times.
 */
export function createClock(
  now: () => number,
  { last = [0, 0], credible = () => true }: ClockStart = {},
): Clock {
  let [ms, counter] = last;
  return {
    tick() {
      const wall = now();
      const wasAhead = ms > wall + LIMITS.clockAheadMs && credible();
      if (wall > ms || wasAhead) {
        ms = wall;
        counter = 0;
      } else counter++;
      return [ms, counter];
    },
    observe([theirs, theirCounter]) {
      if (theirs > now() + LIMITS.clockAheadMs) return;
      if (theirs > ms) {
        ms = theirs;
        counter = theirCounter;
      } else if (theirs === ms) counter = Math.max(counter, theirCounter);
    },
  };
}

/**
 * The time by which lists are ordered: the author's, but no later than the arrival plus the tolerance for a peer's clock, so that
 * nobody can pin a record as the newest. `arrived` in milliseconds since 1970, 0 where it is not known.
 */
export function listedTime(time: HlcTime, arrived: number): HlcTime {
  const latest = arrived + LIMITS.clockAheadMs;
  return arrived === 0 || time[0] <= latest ? time : [latest, 0];
}

export function compareTimes(a: HlcTime, b: HlcTime): number {
  return a[0] - b[0] || a[1] - b[1];
}
