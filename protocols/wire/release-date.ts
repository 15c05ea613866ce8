/**
 * The date of this release, in milliseconds since 1970 (UTC). A constant, updated by hand with each release: nothing that happens
 * while this code runs can have happened earlier.
 */
export const RELEASED_AT: number = Date.UTC(2026, 10, 1);

/** Nobody runs a release for so long; a clock beyond it was set wrongly (a flat battery in the clock chip, a typing error). */
const SERVED_MS = 25 * 365.25 * 24 * 3600 * 1000;

/**
 * Whether a reading of the wall clock (milliseconds since 1970) can be true at all. Small computers without a battery boot in 1970 and
 * learn the time minutes later. Until then nothing is made or thrown away whose end is a date: no key, no promise, nothing "expired".
 */
export function clockIsCredible(now: number): boolean {
  return now >= RELEASED_AT && now < RELEASED_AT + SERVED_MS;
}
