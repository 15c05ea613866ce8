/** The longest wait after the first failed attempt: a receiver that restarts is back by then. */
const BASE_MS = 1000;
/** The longest of all. */
export const MOST_BACKOFF_MS = 5 * 60_000;

/** How long to wait after so many failed attempts (1, 2, ...): full jitter below 1 s doubling to 5 min. `random` in [0, 1). */
export function backoffMs(attempts: number, random: number): number {
  const ceiling = Math.min(MOST_BACKOFF_MS, BASE_MS * 2 ** Math.min(Math.max(attempts, 1) - 1, 20));
  return Math.round(ceiling * random);
}
