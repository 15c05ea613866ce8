/** Keeps work away from a source that fails repeatedly. Times are milliseconds of a clock that nobody sets. */
export interface BreakerState {
  /** Failures in a row. */
  readonly failures: number;
  /** Nothing is begun before; then one attempt decides (half-open). 0 when closed. */
  readonly openUntil: number;
}

export const CLOSED: BreakerState = { failures: 0, openUntil: 0 };
const OPENS_AFTER = 5;
/** Long enough for a restart of the other side, and short against the half hour that is the most. */
const FIRST_COOL_DOWN_MS = 60_000;
/** The longest of all. */
export const MOST_COOL_DOWN_MS = 30 * 60_000;

/** The state after an attempt: five failures in a row open it for a minute, each further one for twice as long, up to half an hour. */
export function breakerAfter(state: BreakerState, event: 'succeeded' | 'failed', now: number): BreakerState {
  if (event === 'succeeded') return CLOSED;
  const failures = state.failures + 1;
  if (failures < OPENS_AFTER) return { failures, openUntil: 0 };
  const coolDown = Math.min(
    MOST_COOL_DOWN_MS,
    FIRST_COOL_DOWN_MS * 2 ** Math.min(failures - OPENS_AFTER, 10),
  );
  return { failures, openUntil: now + coolDown };
}
