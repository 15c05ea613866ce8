/**
 * When something is due whose time was kept on disk, milliseconds since 1970. A clock that was wrong for a minute must not put it off for
 * decades: nothing is further off than its own longest wait, and what seems to be is due now.
 */
export function dueAt(at: number, now: number, longestMs: number): number {
  return at > now + longestMs ? now : at;
}
