import { type Env, every, type Timer } from '../protocols/env.ts';
import { clockIsCredible, RELEASED_AT } from '../protocols/wire/release-date.ts';

/** Steps of the clock up to this are the ordinary work of NTP, milliseconds. */
const SLEW_MS = 5000;
/** How long a clock that was set forward must keep its time before anything that cannot be undone relies on it. */
const CONFIRM_MS = 10 * 60_000;
/** Between two checks; a jump back and forth in between is harmless. */
const LOOK_MS = 5000;

/** The wall clock as the parts of a node may use it. Milliseconds since 1970; no reading is one that cannot be. */
export interface NodeClock {
  /**
   * The wall clock. While that shows an impossible time (1970, 2066), this continues from the last credible reading, or from the
   * date of the release in a process that has never seen one.
   */
  readonly now: () => number;
  /**
   * For what cannot be undone: the end of a hold or a key, throwing away. Goes back with the wall clock at once, and forward by more than
   * a few seconds only when that has stayed so for ten minutes.
   */
  readonly cautious: () => number;
  /** Goes on evenly from what the wall clock read at the beginning, whatever that does later; for what lives in this process only. */
  readonly steady: () => number;
  /** The reading of the wall clock itself. */
  readonly wall: () => number;
  /** Whether that can be. */
  readonly credible: () => boolean;
  /** By how much the wall clock is ahead of what `cautious` goes by; 0 or a little when they agree. */
  readonly doubtedMs: () => number;
}

export interface NodeClockParts {
  readonly env: Pick<Env, 'now' | 'monotonic' | 'after'>;
  /** Told when the wall clock was set: by how much, in milliseconds. */
  readonly onStep: (stepMs: number) => void;
}

/** Follows the wall clock and reports when it was set: whenever it is read, and between `start` and `stop` by itself. */
export function createNodeClock({
  env,
  onStep,
}: NodeClockParts): NodeClock & { readonly start: () => void; readonly stop: () => void } {
  const wall = env.now;
  const origin = wall() - env.monotonic();
  const steady = (): number => origin + env.monotonic();
  /** The offsets to add to `steady`: as the wall clock was last read, as `now` believes it, and as `cautious` does. */
  let read = wall() - steady();
  let believed = clockIsCredible(read + steady()) ? read : undefined;
  let sure = believed;
  let doubted: { readonly offset: number; readonly since: number } | undefined;
  const released = RELEASED_AT - steady();

  function look(): number {
    const at = steady();
    const step = wall() - at - read;
    read += step;
    if (Math.abs(step) > SLEW_MS) onStep(Math.round(step));
    if (!clockIsCredible(at + read)) return at;
    believed = read;
    if (sure === undefined || believed - sure <= SLEW_MS) {
      sure = believed;
      doubted = undefined;
    } else if (doubted === undefined || Math.abs(doubted.offset - believed) > SLEW_MS) {
      doubted = { offset: believed, since: at };
    } else if (at - doubted.since >= CONFIRM_MS) {
      sure = believed;
      doubted = undefined;
    }
    return at;
  }
  let timer: Timer | undefined;
  return {
    now: () => Math.round(look() + (believed ?? released)),
    cautious: () => Math.round(look() + (sure ?? released)),
    steady,
    wall,
    credible: () => clockIsCredible(wall()),
    doubtedMs: () => {
      look();
      return Math.round(read - (sure ?? released));
    },
    start: () => void (timer ??= every(env, LOOK_MS, look)),
    stop: () => timer?.cancel(),
  };
}
