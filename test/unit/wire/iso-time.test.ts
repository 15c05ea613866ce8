import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { isoDay, isoTime, isTimeZone, readableTime, minuteOfDay } from '../../../protocols/wire/iso-time.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

it('gives every number a text that RFC 3339 knows, in the order of the numbers', () => {
  const odd = [0, -0, -1, 1.5, 8.64e15, 8.64e15 + 1, -8.64e15 - 1, 5e-324, 1e308, -1e308, 2 ** 53 - 1];
  const isTime = z.iso.datetime();
  for (const ms of [...odd, Infinity, -Infinity, Number.NaN]) {
    expect(isTime.safeParse(isoTime(ms)).success, `${ms}`).toBe(true);
    for (const language of ['en', 'sw']) expect(readableTime(ms, language, 'Africa/Nairobi')).toMatch(/\d/);
  }
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
      expect(isTime.safeParse(isoTime(a)).success).toBe(true);
      if (a <= b) expect(isoTime(a) <= isoTime(b)).toBe(true);
    }),
  );
});

it('is exact for every time that a date of four digits holds', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
      (date) => {
        expect(isoTime(date.getTime())).toBe(date.toISOString());
        expect(isoDay(date.getTime())).toBe(date.toISOString().slice(0, 10));
      },
    ),
  );
});

it('tells people a time at their own clock', () => {
  expect(readableTime(0, 'en', 'Africa/Nairobi')).toBe('1 Jan 1970, 03:00');
  expect(readableTime(0, 'en', 'UTC')).toBe('1 Jan 1970, 00:00 UTC');
  expect(minuteOfDay(90 * 60_000, 'Africa/Nairobi')).toBe(4 * 60 + 30);
  expect(minuteOfDay(-60_000, 'UTC')).toBe(24 * 60 - 1);
  expect(minuteOfDay(Infinity, 'UTC')).toBe(24 * 60 - 1);
  expect([isTimeZone('Africa/Nairobi'), isTimeZone('Nowhere/Else')]).toEqual([true, false]);
});

it('is the only place that makes text of a date, which throws for a number that none can hold', () => {
  const files = globSync('{api,daemon,protocols,storage}/**/*.{ts,mjs}', { cwd: root });
  expect(files.length).toBeGreaterThan(300);
  const found = files.filter(
    (file) =>
      !file.endsWith('wire/iso-time.ts') &&
      /\.to(ISOString|JSON|UTCString|GMTString)\b|DateTimeFormat/.test(
        readFileSync(`${root}/${file}`, 'utf8'),
      ),
  );
  expect(found).toEqual([]);
});
