import type { QuietHours } from '../../api/ports/users.ts';
import { minuteOfDay } from '../../protocols/wire/iso-time.ts';

const DAY = 24 * 60;
const MINUTE_MS = 60_000;

/** When somebody's quiet hours end, milliseconds since 1970; undefined outside of them. By the wall clock of their time zone. */
export function quietUntil(hours: QuietHours | undefined, now: number): number | undefined {
  if (hours === undefined) return undefined;
  const [from, to, at] = [minuteOf(hours.from), minuteOf(hours.to), minuteOfDay(now, hours.timeZone)];
  // Hours that end where they begin are the whole day or none: they would keep everything back for ever.
  const sinceBegin = (at - from + DAY) % DAY;
  if (sinceBegin >= (to - from + DAY) % DAY) return undefined;
  const left = (to - at + DAY) % DAY;
  return (Math.floor(now / MINUTE_MS) + left) * MINUTE_MS;
}

function minuteOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number);
  return hours * 60 + minutes;
}
