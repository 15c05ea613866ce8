import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey } from '../../../storage/keyspace.ts';
import { itemKey, itemOf, Outbox, type OutboxRow } from '../../../storage/outbox.ts';
import { jsonWithChecksum } from '../../../storage/values.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let db: Database;
let outbox: Outbox;
let now: number;
beforeEach(async () => {
  dir = tempDir('outbox');
  db = await Database.open(dir.path, systemEnv);
  now = 1000;
  outbox = await open();
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

const open = (): Promise<Outbox> =>
  Outbox.open(db, {
    now: () => now,
    traced: new Set(['registry']),
    previousTargets: (_, value) => [{ table: 'NodeRegistry', key: [Buffer.from(value).toString()] }],
  });
const KEY = fullKey('records', 'listings/me/a');
const put = (key: string, text = 'x'): Promise<void> =>
  db.batch([{ type: 'put', key, value: Buffer.from(text) }], false);
async function rows(): Promise<Map<string, OutboxRow>> {
  const found = new Map<string, OutboxRow>();
  for await (const [key, row] of outbox.rows()) found.set(key, row);
  return found;
}

it('holds one row for each key, however often it changes, and only of what is mirrored', async () => {
  for (let i = 0; i < 50; i++) {
    now++;
    await put(KEY, String(i));
    await put(fullKey('events', String(i)));
  }
  await put(fullKey('apiKeys', 'k'));
  const held = await rows();
  expect([...held.keys()]).toEqual([fullKey('apiKeys', 'k'), KEY].sort());
  // The tables are behind since the first change; the version is that of the last.
  expect(held.get(KEY)).toEqual({ n: 50, at: 1001 });
  expect([outbox.size, outbox.counts, outbox.oldest]).toEqual([
    2,
    { pending: 2, waiting: 0, refused: 0 },
    1001,
  ]);
});

it('is written in the very batch: with it, or not at all', async () => {
  await put(KEY);
  expect(await db.level.get(fullKey('outbox', KEY))).toBeDefined();
  // Two batches later both or none are there: a batch that LevelDB refuses leaves neither.
  const other = fullKey('records', 'listings/me/b');
  await expect(
    db.batch([{ type: 'put', key: other, value: undefined as unknown as Uint8Array }], false),
  ).rejects.toMatchObject({ code: 'storage-failed' });
  expect(await db.level.get(other)).toBeUndefined();
  expect(await db.level.get(fullKey('outbox', other))).toBeUndefined();
});

it('keeps a row that was touched while it was being brought out', async () => {
  await put(KEY, 'old');
  const [[key, row] = ['', { n: 0, at: 0 }]] = [...(await rows())];
  // In one order and in the other: what decides is the database's own order of batches.
  const both = [put(KEY, 'new'), outbox.complete([{ key, n: row.n, next: undefined }])];
  await Promise.all(both);
  expect((await rows()).get(KEY)?.n).toBe(row.n + 1);
  await Promise.all([outbox.complete([{ key, n: row.n + 1, next: undefined }]), put(KEY, 'newer')]);
  expect((await rows()).get(KEY)?.n).toBe(row.n + 2);
  await outbox.complete([{ key, n: row.n + 2, next: undefined }]);
  expect([outbox.size, (await rows()).size, outbox.oldest]).toEqual([0, 0, undefined]);
});

it('remembers where a row stood before, until it is brought out', async () => {
  const node = fullKey('registry', 'n');
  await put(node, 'https://one');
  await outbox.complete([{ key: node, n: 1, next: undefined }]);
  await put(node, 'https://two');
  await put(node, 'https://three');
  expect((await rows()).get(node)?.was).toEqual([
    { table: 'NodeRegistry', key: ['https://one'] },
    { table: 'NodeRegistry', key: ['https://two'] },
  ]);
});

it('counts what waits and what is refused apart from what is behind, also after a start', async () => {
  await put(KEY);
  await put(fullKey('apiKeys', 'k'));
  await put(fullKey('apiKeys', 'l'));
  await outbox.complete([
    { key: KEY, n: 1, next: { n: 1, at: 1000, due: 5000, incarnation: 1 } },
    { key: fullKey('apiKeys', 'k'), n: 2, next: { n: 2, at: 1000, refused: 'too large' } },
  ]);
  const expected = { pending: 1, waiting: 1, refused: 1 };
  expect(outbox.counts).toEqual(expected);
  outbox = await open();
  expect([outbox.counts, outbox.refusals(10)]).toEqual([
    expected,
    [{ key: fullKey('apiKeys', 'k'), reason: 'too large' }],
  ]);
  // No version is given twice as long as a row bears it.
  await put(KEY);
  expect((await rows()).get(KEY)?.n).toBe(4);
});

it('takes in a fill beside what waits already, and a repair in its place', async () => {
  await put(KEY);
  const other = fullKey('records', 'listings/me/b');
  await outbox.enqueue([KEY, other], {
    fill: true,
    beside: [{ type: 'put', key: fullKey('meta', 'x'), value: jsonWithChecksum('x', 1) }],
  });
  expect((await rows()).get(KEY)).toEqual({ n: 1, at: 1000 });
  expect((await rows()).get(other)).toEqual({ n: 2, at: 1000, fill: true });
  expect(await db.level.get(fullKey('meta', 'x'))).toBeDefined();
  await outbox.enqueue([other]);
  expect((await rows()).get(other)).toEqual({ n: 3, at: 1000 });
  expect(outbox.counts.pending).toBe(2);
});

it('puts in again what is damaged', async () => {
  await put(KEY);
  await db.level.put(fullKey('outbox', KEY), Buffer.from('nonsense'));
  outbox = await open();
  expect([outbox.counts.pending, (await rows()).has(KEY)]).toEqual([1, true]);
});

it('names an item by a key of its own', () => {
  const target = { table: 'Messages', key: ['a b', 'c"\u0000'] };
  expect(itemOf(itemKey(target))).toEqual(target);
  expect(itemOf(KEY)).toBeUndefined();
});
