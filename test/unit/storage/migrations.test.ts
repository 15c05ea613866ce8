import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { HlcTime } from '../../../protocols/feed/clock.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { Database } from '../../../storage/database.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { ENTRY_ROWS } from '../../../storage/entry-migration.ts';
import { decodeEntryRow, entryKey } from '../../../storage/entry-row.ts';
import { type BatchOp, fullKey, range, timeKey } from '../../../storage/keyspace.ts';
import { type Level, REBUILDING } from '../../../storage/level.ts';
import { LAYOUT, type Migration, migrate } from '../../../storage/migrations.ts';
import { RECORD_ROWS } from '../../../storage/record-migration.ts';
import { rewriteRows } from '../../../storage/row-migration.ts';
import { readRecordRow } from '../../../storage/stored-record.ts';
import { jsonWithChecksum, putJson, verifiedJson, withChecksum } from '../../../storage/values.ts';
import { seededRandom } from '../../support/random.ts';
import { toOlderLayout } from '../../support/older-layouts.ts';
import { plainState, recordRows } from '../../support/record-rows.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let db: Database;
beforeEach(async () => {
  dir = tempDir('migrations');
  db = await Database.open(dir.path, systemEnv);
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

const OLD = fullKey('meta', 'old');
const NEW = fullKey('meta', 'new');
const VERSION = fullKey('meta', 'version');
const rename: Migration = {
  to: LAYOUT + 1,
  run: async (level) => {
    const value = await level.get(OLD);
    if (value === undefined) return [];
    return [
      { type: 'put', key: NEW, value },
      { type: 'del', key: OLD },
    ];
  },
};
const fails: Migration = { to: LAYOUT + 2, run: () => Promise.reject(new Error('cut off')) };

it('migrates forward, each step whole or not at all', async () => {
  await db.level.put(OLD, new Uint8Array([7]));
  await expect(migrate(db.level, systemEnv.now, [rename, fails])).rejects.toThrow('cut off');
  expect(await db.level.get(OLD)).toBeUndefined();
  expect(await db.level.get(NEW)).toEqual(Buffer.from([7]));
  const stamped = await db.level.get(VERSION);
  expect(stamped && verifiedJson(VERSION, stamped)).toBe(LAYOUT + 1);
  expect(await migrate(db.level, systemEnv.now, [rename])).toBe(LAYOUT + 1);
});

it('refuses a database of a newer version', async () => {
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 99));
  await expect(migrate(db.level, systemEnv.now)).rejects.toMatchObject({ code: 'database-newer' });
});

it('gives listings their exact places, also when that is cut off, and says how far it is', async () => {
  const random = seededRandom(7);
  const states = Array.from({ length: 6000 }, (_, i) => {
    const place = { geoLat_: (random() * 180 - 90).toFixed(5), geoLong_: (random() * 360 - 180).toFixed(5) };
    const owner = identityFromSeed(new Uint8Array(32)).peerId;
    return plainState(recordKey('listings', owner, `l${i}`), i % 5 === 0 ? {} : place, i);
  });
  await db.batch(
    states.flatMap((state) => recordRows(undefined, state)),
    false,
  );
  const places = range('index', 'listings.place\0');
  const whole = await db.level.keys(places).all();
  expect(whole.length).toBe(4800);
  // As the older layout had it: cells instead of places, and the migration was cut off behind its first piece.
  const rows = await db.level.keys(range('records')).all();
  const done = fullKey('meta', 'places');
  const damaged = rows.at(-1) ?? '';
  for (const key of whole)
    if (key.slice(key.lastIndexOf('\0') + 1) > (rows[4999] ?? '').slice(2)) await db.level.del(key);
  const old = fullKey('index', `listings.geohash\0kzf0t\0${rows[0]?.slice(2)}`);
  await db.level.put(old, new Uint8Array());
  await db.level.put(done, jsonWithChecksum(done, rows[4999]));
  await db.level.put(damaged, new Uint8Array([1, 2, 3, 4, 5]));
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 4));
  await db.close();
  const told: [number, number][] = [];
  db = await Database.open(dir.path, systemEnv, { onMigration: (layout, rows) => told.push([layout, rows]) });
  const lost = `\0${damaged.slice(2)}`;
  expect(await db.level.keys(places).all()).toEqual(whole.filter((key) => !key.endsWith(lost)));
  expect(await db.level.get(old)).toBeUndefined();
  expect(await db.level.get(done)).toBeUndefined();
  expect(told[0]).toEqual([5, 0]);
});

it('puts the statements of contracts where they were signed, and leaves messages where lists have them', async () => {
  const owner = identityFromSeed(new Uint8Array(32)).peerId;
  const channel = recordKey('contracts', owner, 'c'.repeat(43));
  const states = ['transitions', 'messages'].flatMap((collection) =>
    [5, 900, 3].map((ms, i): RecordState => {
      const state = plainState(recordKey(collection, owner, `${collection}${i}`), {}, ms);
      const came: HlcTime = [100, 0];
      return { ...state, channel, ...(ms > 100 ? { listed: { created: came, updated: came } } : {}) };
    }),
  );
  await db.batch(
    states.flatMap((state) => recordRows(undefined, state)),
    false,
  );
  const places = range('index');
  const whole = await db.level.keys(places).all();
  // As the older layout had it: all of them by the time that lists have.
  const signed = whole.find((key) => key.includes('transitions.channel') && key.includes(timeKey(900))) ?? '';
  const listed = signed.replace(timeKey(900), timeKey(100));
  expect(listed).not.toBe(signed);
  const old: BatchOp[] = [
    { type: 'del', key: signed },
    { type: 'put', key: listed, value: new Uint8Array() },
    putJson(VERSION, 7),
  ];
  await db.level.batch(old);
  await db.close();
  db = await Database.open(dir.path, systemEnv);
  expect(await db.level.keys(places).all()).toEqual(whole);
  expect(whole.some((key) => key.includes('messages.channel') && key.includes(timeKey(100)))).toBe(true);
});

it('takes listings out of the index at the values that most of them have', async () => {
  const owner = identityFromSeed(new Uint8Array(32)).peerId;
  const states = ['active', 'sold'].flatMap((status) =>
    ['offer', 'request'].map((type) =>
      plainState(recordKey('listings', owner, `${status}-${type}`), { status, type }, 1),
    ),
  );
  await db.batch(
    states.flatMap((state) => recordRows(undefined, state)),
    false,
  );
  const whole = await db.level.keys(range('index')).all();
  await toOlderLayout(db.level, 8);
  expect((await db.level.keys(range('index')).all()).length).toBeGreaterThan(whole.length);
  await db.close();
  db = await Database.open(dir.path, systemEnv);
  expect(await db.level.keys(range('index')).all()).toEqual(whole);
  expect(whole.filter((key) => /\.(?:status|type)\0/.test(key))).toEqual(
    ['status\0sold\0', 'status\0sold\0', 'type\0request\0', 'type\0request\0'].map(
      (start) => expect.stringContaining(start) as string,
    ),
  );
});

/** A database that is cut off before its batch of this number, as a process is that is killed. */
function dyingBefore(level: Level, batches: number): Level {
  let left = batches;
  return new Proxy(level, {
    get(target, name) {
      if (name !== 'batch') {
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return (ops: BatchOp[], options: object) =>
        left-- === 0 ? Promise.reject(new Error('killed')) : target.batch(ops, options);
    },
  });
}

it('makes the rows of records compact, also when it is killed before any of its batches', async () => {
  const owner = identityFromSeed(new Uint8Array(32)).peerId;
  const states = Array.from({ length: 110 }, (_, i) =>
    plainState(
      recordKey(i % 2 === 0 ? 'listings' : 'prices', owner, `r${i}`),
      { title: `${i}`, price: i / 4 },
      i,
    ),
  );
  await db.batch(
    states.flatMap((state, i) => recordRows(undefined, state, i)),
    false,
  );
  const rows = range('records');
  const whole = await db.level.iterator(rows).all();
  // As layout 5 had them; one is damaged, and stays so.
  const damaged = fullKey('records', states[3]?.key ?? '');
  await db.level.batch(
    whole.map(([key, value]) => ({
      type: 'put',
      key,
      value: jsonWithChecksum(key, readRecordRow(key, value)),
    })),
  );
  const bad = new Uint8Array([1, 2, 3, 4, 5]);
  await db.level.put(damaged, bad);
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 5));
  const before = await db.level.iterator(rows).all();
  const read = (row: readonly (readonly [string, Uint8Array])[]): string =>
    JSON.stringify(row.filter(([key]) => key !== damaged).map(([key, value]) => readRecordRow(key, value)));
  const expected = read(before);
  const inPieces: Migration = {
    to: 6,
    run: (level, _, told) => rewriteRows(level, { ...RECORD_ROWS, atOnce: 50 }, told),
  };
  for (const batches of [0, 1, 0, 1]) {
    const cut = migrate(dyingBefore(db.level, batches), systemEnv.now, [inPieces]);
    await expect(cut).rejects.toThrow('killed');
    expect(read(await db.level.iterator(rows).all()) === expected).toBe(true);
  }
  const told: number[] = [];
  const end = await migrate(db.level, systemEnv.now, [inPieces], (_, done) => told.push(done));
  expect(end).toBe(6);
  expect(told).toEqual([0]); // not from the first again: both whole pieces were done
  const bytesOf = (some: readonly (readonly [string, Uint8Array])[]): string[] =>
    some.map(([key, value]) => `${key} ${Buffer.from(key === damaged ? bad : value).toString('hex')}`);
  expect(bytesOf(await db.level.iterator(rows).all()).join() === bytesOf(whole).join()).toBe(true);
  expect(Buffer.from((await db.level.get(damaged)) ?? '')).toEqual(Buffer.from(bad));
  expect(await db.level.get(fullKey('meta', 'records'))).toBeUndefined();
});

it('writes nothing of what a rebuild makes anew', async () => {
  const owner = identityFromSeed(new Uint8Array(32)).peerId;
  const states = Array.from({ length: 20 }, (_, i) =>
    plainState(recordKey('listings', owner, `r${i + 10}`), { geoLat_: '1', geoLong_: `${i}` }, i),
  );
  const rows = states.map((state, i) => {
    const key = fullKey('records', state.key);
    return { type: 'put' as const, key, value: jsonWithChecksum(key, { state, change: i }) };
  });
  await db.level.batch(rows);
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 3));
  for (const mark of ['records', 'places'])
    await db.level.put(fullKey('meta', mark), jsonWithChecksum(fullKey('meta', mark), rows[3]?.key));
  expect(await migrate(db.level, systemEnv.now)).toBe(LAYOUT);
  const held = await db.level.iterator(range('records')).all();
  expect(held).toEqual(rows.map(({ key, value }) => [key, Buffer.from(value)]));
  expect(await db.level.keys(range('index')).all()).toEqual([]);
  for (const mark of ['records', 'places']) expect(await db.level.get(fullKey('meta', mark))).toBeUndefined();
  expect(await db.level.get(REBUILDING)).toBeDefined();
});

it('packs large entries, also when it is killed, and leaves the others and what is damaged', async () => {
  const key = (n: number): string => entryKey(1, n);
  const entries = Array.from({ length: 30 }, (_, i) => ({
    bytes: Buffer.from([0x82, ...Buffer.from(`entry ${i} `.repeat(i % 3 === 0 ? 5 : 600))]),
    arrived: 1000 + i,
  }));
  const plain = (i: number, { bytes, arrived }: (typeof entries)[number]): Uint8Array => {
    const came = Buffer.alloc(6);
    came.writeUIntBE(arrived, 0, 6);
    return withChecksum(key(i), Buffer.concat([bytes, came]));
  };
  const damaged = Buffer.from([1, 2, 3, 4, 5]);
  await db.batch(
    [
      ...entries.map((entry, i) => ({ key: key(i), value: plain(i, entry) })),
      { key: key(99), value: damaged },
    ].map((row) => ({ type: 'put', ...row })),
    false,
  );
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 6));
  const inPieces: Migration = {
    to: 7,
    run: (level, _, told) => rewriteRows(level, { ...ENTRY_ROWS, atOnce: 7 }, told),
  };
  const read = async () =>
    (await db.level.iterator(range('entries')).all())
      .filter(([at]) => at !== key(99))
      .map(([at, value]) => decodeEntryRow(at, value))
      .map(({ bytes, arrived }) => ({ bytes: Buffer.from(bytes), arrived }));
  for (const batches of [0, 1, 2, 0]) {
    await expect(migrate(dyingBefore(db.level, batches), systemEnv.now, [inPieces])).rejects.toThrow(
      'killed',
    );
    expect(await read()).toEqual(entries);
  }
  expect(await migrate(db.level, systemEnv.now, [inPieces])).toBe(7);
  expect(await read()).toEqual(entries);
  const sizes = (await db.level.iterator(range('entries')).all()).map(([, value]) => value.length);
  for (const [i, { bytes }] of entries.entries())
    expect((sizes[i] ?? 0) < bytes.length).toBe(bytes.length > 4096);
  expect(Buffer.from((await db.level.get(key(99))) ?? '')).toEqual(damaged);
});
