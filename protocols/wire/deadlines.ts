/**
 * When something is due whose time was kept on disk, milliseconds since 1970. A clock that was wrong for a minute must not put it off for
 * decades: nothing is further off than its own longest wait, and what seems to be is due now.
 */
export function dueAt(at: number, now: number, longestMs: number): number {
  return at > now + longestMs ? now : at;
}

/** How long ago something happened whose time was kept on disk: never less than 0, whatever the clock said then. */
export function ageOf(at: number, now: number): number {
  return Math.max(0, now - at);
}
