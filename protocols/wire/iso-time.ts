/** 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z, milliseconds since 1970: the range of RFC 3339. */
const FIRST_TIME = -62_167_219_200_000;
export const LAST_TIME = 253_402_300_799_999;

/**
 * A time in milliseconds since 1970 as RFC 3339 text. Every number has one: times are signed by others, and one outside the range of
 * dates would throw wherever it is shown. Times beyond the range are shown as its first or last moment, NaN as 1970. The only place
 * that formats a time.
 */
export function isoTime(ms: number): string {
  return new Date(within(ms)).toISOString();
}

/** The same for people: in the words of a language (BCP 47), hours from 0 to 23, in a time zone (IANA). */
export function readableTime(ms: number, language: string, timeZone: string): string {
  const format = { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23', timeZone } as const;
  const time = new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, format).format(within(ms));
  return timeZone === 'UTC' ? `${time} UTC` : time;
}

/** Minutes since midnight at the clock of a time zone (IANA), 0 to 1439. */
export function minuteOfDay(ms: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en', {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  });
  const parts = format.formatToParts(within(ms));
  const part = (type: 'hour' | 'minute'): number =>
    Number(parts.find((each) => each.type === type)?.value ?? 0);
  return part('hour') * 60 + part('minute');
}

/** Whether a name is that of a time zone which this machine knows. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function within(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, FIRST_TIME), LAST_TIME);
}

/** The day of a time in UTC, YYYY-MM-DD. */
export function isoDay(ms: number): string {
  return isoTime(ms).slice(0, 10);
}

/** A time as JSON has it that may be none: null for none, and for 0, which stands for never. */
export function isoOrNull(ms: number | null | undefined): string | null {
  return ms ? isoTime(ms) : null;
}
