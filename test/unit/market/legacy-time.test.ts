import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { legacyRow } from '../../../protocols/market/legacy.ts';
import { legacyTime } from '../../../protocols/market/legacy-time.ts';

const TEN = Date.UTC(2026, 10, 1, 10);

test.each<[unknown, number]>([
  ['2026-11-01T10:00:00Z', TEN],
  ['2026-11-01T10:00:00.000Z', TEN],
  ['2026-11-01T10:00:00', TEN],
  ['2026-11-01 10:00:00', TEN],
  ['2026-11-01 10:00', TEN],
  ['2026-11-01 10:00:00.123456', TEN + 123],
  ['2026-11-01T13:00:00+03:00', TEN],
  ['2026-11-01T13:00:00+0300', TEN],
  ['2026-11-01 13:00:00+03', TEN],
  ['2026-11-01T04:30:00-05:30', TEN],
  ['2026-11-01', Date.UTC(2026, 10, 1)],
  [TEN, TEN],
  [TEN / 1000, TEN],
  [TEN / 1000 + 0.5, TEN + 500],
  [String(TEN), TEN],
  [String(TEN / 1000), TEN],
  [{ $date: '2026-11-01T10:00:00Z' }, TEN],
])('%j is read', (value, expected) => {
  expect(legacyTime(value)).toBe(expected);
});

test.each<[unknown, string]>([
  ['11/01/2026', 'day or month first'],
  ['01.11.2026', 'day or month first'],
  ['1-11-26', 'day or month first'],
  ['2026-02-30', 'is not a time'],
  ['2026-13-01T10:00:00Z', 'is not a time'],
  ['2026-11-01T24:00:00Z', 'is not a time'],
  ['2026-11-01T10:61:00Z', 'is not a time'],
  ['2026-11-01T10:00:00+25:00', 'is not a time'],
  ['yesterday', 'is not a time'],
  ['', 'is not a time'],
  [0, 'neither seconds nor milliseconds'],
  [20_261_101, 'neither seconds nor milliseconds'],
  [1e11, 'neither seconds nor milliseconds'],
  [TEN * 1000, 'neither seconds nor milliseconds'],
  ['1e12', 'is not a time'],
  [Number.NaN, 'neither seconds nor milliseconds'],
  [true, 'is not a time'],
  [null, 'is not a time'],
])('%j is refused', (value, reason) => {
  expect(legacyTime(value)).toContain(reason);
});

test('every moment of this century is read back from each way of writing it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000_000_000_000, max: 4_102_444_800_000 }), (ms) => {
      const iso = new Date(ms).toISOString();
      const whole = Math.floor(ms / 1000) * 1000;
      expect(legacyTime(iso)).toBe(ms);
      expect(legacyTime(iso.slice(0, -1))).toBe(ms);
      expect(legacyTime(iso.replace('T', ' ').slice(0, 19))).toBe(whole);
      for (const value of [ms, String(ms)]) expect(legacyTime(value)).toBe(ms);
      for (const value of [whole / 1000, String(whole / 1000)]) expect(legacyTime(value)).toBe(whole);
    }),
  );
});

test('whatever it is, it is a time or a reason', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(['number', 'string']).toContain(typeof legacyTime(value));
    }),
  );
});

test('the zone of the machine makes no difference', async () => {
  const module = fileURLToPath(new URL('../../../protocols/market/legacy-time.ts', import.meta.url));
  const values = [
    '2026-11-01 10:00:00',
    '2026-11-01T10:00:00',
    '2026-03-29 02:30:00',
    '2026-11-01',
    '2026-11-01 10:00',
  ];
  const code = `import(process.argv[1]).then((m) => console.log(JSON.stringify(${JSON.stringify(values)}.map(m.legacyTime))))`;
  const read = await Promise.all(
    ['UTC', 'America/New_York', 'Asia/Kolkata', 'Europe/Berlin'].map(async (TZ) => {
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', code, module], {
        env: { ...process.env, TZ },
      });
      return stdout;
    }),
  );
  expect(new Set(read)).toEqual(new Set([`${JSON.stringify(values.map(legacyTime))}\n`]));
});

const NOW = Date.UTC(2026, 10, 28);
const item = { title: 'a', updatedAt: '2026-11-01T10:00:00Z' };
test.each<[Record<string, unknown>, string]>([
  [{ id: 'a b' }, 'a b'],
  [{ id: 'Ünï/ co de?' }, 'Ünï/ co de?'],
  [{ id: 7 }, '7'],
  [{ _id: 'mongo' }, 'mongo'],
  [{ _id: { $oid: '507f1f77bcf86cd799439011' } }, '507f1f77bcf86cd799439011'],
])('the id of %j is %s', (over, id) => {
  const row = legacyRow('listings', { ...item, ...over }, NOW);
  expect(row).toMatchObject({ id, updatedAt: TEN });
  expect(typeof row === 'object' && row.item['id']).toBe(over['id'] ?? id);
});

test.each([
  {},
  { id: '' },
  { id: 'x'.repeat(129) },
  { id: 'a\nb' },
  { id: 'a\u202Eb' },
  { id: '\ud800' },
  { id: 1.5 },
  { id: 1e300 },
  { id: {} },
])('an item with %j is refused by its id', (over) => {
  expect(legacyRow('listings', { ...item, ...over }, NOW)).toMatch(/^id: missing/);
});

test('the reason names what was wrong, on one short line', () => {
  const reason = legacyRow(
    'listings',
    { id: 'us', title: 'a', updatedAt: `11/01/2026\n${'x'.repeat(500)}` },
    NOW,
  );
  expect(reason).toMatch(/^neither updatedAt nor createdAt is a time: updatedAt "11\/01\/2026/);
  expect(JSON.stringify(reason).length).toBeLessThan(200);
  expect(reason).not.toContain('\n');
});
