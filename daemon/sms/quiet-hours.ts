import type { QuietHours } from '../../api/ports/users.ts';

const DAY = 24 * 60;
const MINUTE_MS = 60_000;

/** When somebody's quiet hours end, milliseconds since 1970; undefined outside of them. By the wall clock of their time zone. */
export function quietUntil(hours: QuietHours | undefined, now: number): number | undefined {
  if (hours === undefined) return undefined;
  const [from, to, at] = [minuteOf(hours.from), minuteOf(hours.to), minuteAt(now, hours.timeZone)];
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

function minuteAt(now: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en', {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  });
  const part = (type: 'hour' | 'minute'): number =>
    Number(format.formatToParts(now).find((each) => each.type === type)?.value ?? 0);
  return part('hour') * 60 + part('minute');
}
