import { expect, it } from 'vitest';
import { quietUntil } from '../../../daemon/sms/quiet-hours.ts';

const at = (time: string): number => Date.parse(`2026-11-30T${time}Z`);
const until = (hours: [string, string, string], now: number): string | undefined => {
  const [from, to, timeZone] = hours;
  const end = quietUntil({ from, to, timeZone }, now);
  return end === undefined ? undefined : new Date(end).toISOString();
};

it('quiet hours end on the wall clock of their time zone, over midnight too', () => {
  const night: [string, string, string] = ['21:00', '06:00', 'Africa/Nairobi']; // UTC+3
  expect(until(night, at('17:59:59'))).toBeUndefined();
  expect(until(night, at('18:00:00'))).toBe('2026-12-01T03:00:00.000Z');
  expect(until(night, at('23:30:12'))).toBe('2026-12-01T03:00:00.000Z');
  expect(until(night, at('02:59:59'))).toBe('2026-11-30T03:00:00.000Z');
  expect(until(night, at('03:00:00'))).toBeUndefined();
  expect(until(['12:00', '13:30', 'UTC'], at('12:30:00'))).toBe('2026-11-30T13:30:00.000Z');
  expect(until(['12:00', '13:30', 'UTC'], at('13:30:00'))).toBeUndefined();
});

it('hours of no length keep nothing back, and nobody without any has some', () => {
  expect(until(['08:00', '08:00', 'UTC'], at('08:00:00'))).toBeUndefined();
  expect(quietUntil(undefined, at('08:00:00'))).toBeUndefined();
});
