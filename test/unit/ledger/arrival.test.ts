import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { bytesOf, createBackups } from '../../../daemon/backup/backups.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { withoutOps } from '../../../protocols/feed/erasure.ts';
import { draftEdit, draftFact } from '../../../protocols/ledger/drafts.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { RELEASED_AT } from '../../../protocols/wire/release-date.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { loadBackup } from '../../../storage/backup/load.ts';
import { Database } from '../../../storage/database.ts';
import { readEntryRow, encodeEntryRow } from '../../../storage/entry-row.ts';
import { fullKey, numberKey, range, timeKey } from '../../../storage/keyspace.ts';
import type { Level } from '../../../storage/level.ts';
import { openLevel } from '../../../storage/open-level.ts';
import { VERSION } from '../../../storage/migrations.ts';
import { Reader } from '../../../storage/reader.ts';
import { readRecordRow } from '../../../storage/stored-record.ts';
import { jsonWithChecksum, withChecksum } from '../../../storage/values.ts';
import {
  Hand,
  listingOps,
  openLedger,
  privateRecord,
  randomFrom,
  someIdentity,
} from '../../support/forge.ts';
import { openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const seed = Number(process.env['SEED'] ?? 47);
const random = randomFrom(seed);
const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});

const T = RELEASED_AT + 30 * 86_400_000;
const HOUR = 3_600_000;
/** Times that somebody signs to stand above everything, up to what no date can hold. */
const AHEAD = [T + HOUR, 253_402_300_799_999, 2 ** 48 - 1, 2 ** 48, 8.64e15, 8.64e15 + 1, 2 ** 53 - 1];

function folder(): string {
  const dir = tempDir('arrival');
  ending.push(() => dir.remove());
  return dir.path;
}
function entryOf(hand: Hand, ops: readonly Uint8Array[], ms: number): Uint8Array {
  const entry = hand.sign(ops, { time: [ms, 0] });
  hand.seq = entry.header.seq;
  hand.hash = entry.hash;
  return entry.bytes;
}

/** A folder with what one author has signed: each listing named by when it came and the time it bears. */
async function held(
  signed: readonly { id: string; at: number; ms: number }[],
  credible = true,
): Promise<string> {
  const path = folder();
  let now = T;
  const node = await openLedger(path, someIdentity(random), () => now, { credible: () => credible });
  const hand = new Hand(someIdentity(random), random.hex(8));
  node.followStates.set(hand.identity.peerId, 'followed');
  for (const { id, at, ms } of signed) {
    now = at;
    const told = await node.ledger.receive([entryOf(hand, listingOps(hand.pen, id, undefined, {}), ms)]);
    expect(told.map(({ kind }) => kind)).toEqual(['accept']);
  }
  await node.close();
  return path;
}

async function opened<T>(path: string, look: (db: Database) => Promise<T>): Promise<T> {
  const db = await Database.open(path, systemEnv);
  try {
    return await look(db);
  } finally {
    await db.close();
  }
}
const idOf = ({ key }: RecordState): string => key.slice(key.lastIndexOf('/') + 1);
/** A whole list, page by page. */
async function listed(db: Database, collection: string, limit: number): Promise<RecordState[]> {
  const reader = new Reader(db);
  const all: RecordState[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await reader.list(collection, { fields: {} }, limit, cursor);
    all.push(...page.records);
    cursor = page.cursor;
    if (cursor === undefined) return all;
  }
}
async function rowsOf(level: Level): Promise<string[]> {
  const rows = await level.iterator(range('entries')).all();
  return rows.map(([key, value]) => `${key} ${Buffer.from(value).toString('hex')}`);
}
async function statesOf(level: Level): Promise<RecordState[]> {
  const rows = await level.iterator(range('records')).all();
  return rows.map(([key, value]) => readRecordRow(key, value).state);
}
async function entriesOf(level: Level): Promise<Entry[]> {
  return (await level.iterator(range('entries')).all()).map(([key, value]) => readEntryRow(key, value));
}

describe('a list', () => {
  const pins = AHEAD.map((ms, i) => ({ id: `pin${i}`, at: T + i, ms }));
  const honest = [1, 2, 3].map((i) => ({ id: `new${i}`, at: T + i * HOUR, ms: T + i * HOUR - 20 }));
  const old = { id: 'old', at: T, ms: T - 30 * HOUR };

  it('has what came later before what only says so, on pages of any size', async () => {
    const path = await held([old, ...pins, ...honest]);
    await opened(path, async (db) => {
      const all = (await listed(db, 'listings', 100)).map(idOf);
      expect(all.slice(0, 3)).toEqual(['new3', 'new2', 'new1']);
      expect(all.slice(3, -1).toSorted()).toEqual(pins.map(({ id }) => id));
      expect(all.at(-1)).toBe('old');
      for (const limit of [1, 2, 3, 7]) expect((await listed(db, 'listings', limit)).map(idOf)).toEqual(all);
      // What the author signed is kept, and shown.
      for (const state of await listed(db, 'listings', 100)) {
        const { ms } = [old, ...pins, ...honest].find(({ id }) => id === idOf(state)) ?? {};
        expect(state.updated).toEqual([ms, 0]);
        expect(state.listed === undefined).toBe(
          (ms ?? 0) <= T + LIMITS.clockAheadMs || idOf(state).startsWith('new'),
        );
      }
    });
  });

  it('is by the signed times while the clock is not credible, the largest that there are in their order', async () => {
    const path = await held([old, ...pins].toReversed(), false);
    await opened(path, async (db) => {
      const all = (await listed(db, 'listings', 100)).map(idOf);
      expect(all).toEqual([...pins.map(({ id }) => id).toReversed(), 'old']);
      expect((await entriesOf(db.level)).map(({ arrived }) => arrived)).toEqual(pins.map(() => 0).concat(0));
    });
  });

  it('of prices has no day before its time', async () => {
    const path = folder();
    const node = await openLedger(path, someIdentity(random), () => T);
    const hand = new Hand(someIdentity(random), random.hex(8));
    node.followStates.set(hand.identity.peerId, 'followed');
    const day = new Date(T).toISOString().slice(0, 10);
    const dates = ['2026-01-01', '9999-99-99', '2027-06-01', day];
    for (const [i, date] of dates.entries()) {
      const fields = {
        date,
        market: `m${i}`,
        commodity: 'c',
        unit: 'kg',
        currency: 'KES',
        price: 1,
        priceType: 'r',
      };
      const { ops } = draftFact(hand.pen, 'prices', fields);
      await node.ledger.receive([entryOf(hand, ops, i % 2 === 0 ? T : 2 ** 53 - 1)]);
    }
    await node.close();
    await opened(path, async (db) => {
      const all = await listed(db, 'prices', 2);
      expect(all.length).toBe(4);
      expect(all.at(-1)?.view['date']).toBe('2026-01-01');
      const keys = await db.level.keys(range('index', 'prices.date')).all();
      expect([...new Set(keys.map((key) => key.split('\0')[1]))]).toEqual(['2026-01-01', day]);
    });
  });

  it('of a private channel is in the same order, and goes on at any of its places', async () => {
    const path = folder();
    let now = T;
    const node = await openLedger(path, someIdentity(random), () => now);
    const peer = someIdentity(random);
    node.followStates.set(peer.peerId, 'followed');
    const pen = { author: peer.peerId, epoch: random.hex(8) };
    const { key, ops } = privateRecord(pen, [peer.peerId, node.identity.peerId]);
    const hand = new Hand(peer, pen.epoch, key);
    const said = (text: string) =>
      draftFact(
        hand.pen,
        'messages',
        { from: `a@${peer.peerId}`, type: 'text', content: text, sentAt: now },
        key,
      ).ops;
    await node.ledger.receive([entryOf(hand, ops, T)]);
    for (const [i, ms] of AHEAD.entries()) await node.ledger.receive([entryOf(hand, said(`pin${i}`), ms)]);
    for (const i of [1, 2, 3]) {
      now = T + i * HOUR;
      await node.ledger.receive([entryOf(hand, said(`new${i}`), now)]);
    }
    await node.close();
    await opened(path, async (db) => {
      const reader = new Reader(db);
      const all = await reader.newestInChannel('messages', key, 100);
      expect(all.slice(0, 3).map(({ view }) => view['content'])).toEqual(['new3', 'new2', 'new1']);
      expect(all.length).toBe(3 + AHEAD.length);
      const place = ({ key: at, created, listed: as }: RecordState) => ({
        key: at,
        created: as?.created ?? created,
      });
      const pages: RecordState[] = [];
      for (let last: RecordState | undefined; ; last = pages.at(-1)) {
        const page = await reader.newestInChannel('messages', key, 2, last && place(last));
        if (page.length === 0) break;
        pages.push(...page);
      }
      expect(pages.map((each) => each.key)).toEqual(all.map((each) => each.key));
    });
  });
});

describe('the arrival', () => {
  it('is in nothing that nodes compare', async () => {
    const identity = someIdentity(random);
    const hand = new Hand(identity, random.hex(8));
    const entries = AHEAD.map((ms, i) =>
      entryOf(hand, listingOps(hand.pen, `x${i}`, undefined, { title: 'x' }), ms),
    );
    const digests: string[] = [];
    for (const [now, credible] of [
      [T, true],
      [T + 400 * HOUR, true],
      [0, false],
    ] as const) {
      const node = await openLedger(folder(), someIdentity(random), () => now, { credible: () => credible });
      node.followStates.set(identity.peerId, 'followed');
      await node.ledger.receive(entries);
      digests.push(node.digest());
      const feed = node.store.feeds(identity.peerId, 'public')[0];
      const sent: string[] = [];
      for await (const bytes of node.store.entriesFrom(feed?.no ?? 0, 1, entries.length))
        sent.push(Buffer.from(bytes).toString('hex'));
      expect(sent).toEqual(entries.map((bytes) => Buffer.from(bytes).toString('hex')));
      await node.close();
    }
    expect(new Set(digests).size).toBe(1);
  });

  it('of an own entry is when it was committed, of one of others when it came; a rewritten one keeps it', async () => {
    const path = folder();
    let now = T;
    const node = await openLedger(path, someIdentity(random), () => now);
    const key = recordKey('listings', node.identity.peerId, 'mine');
    for (const [i, at] of [T, T + 5, T + HOUR].entries()) {
      now = at;
      await node.ledger.write({
        keys: [key],
        draft: (pen, read) => [
          draftEdit(pen, key, 'public', read(key), { type: 'offer', status: 'active', title: `${i}` }),
        ],
      });
    }
    await node.close();
    const entries = await opened(path, (db) => entriesOf(db.level));
    expect(entries.map(({ arrived }) => arrived)).toEqual([T, T + 5, T + HOUR]);
    for (const entry of entries) expect(withoutOps(entry, new Set([0])).arrived).toBe(entry.arrived);
  });

  it('outlives a rebuild, a backup and its restore, and with it the lists stay as they were', async () => {
    const signed = AHEAD.map((ms, i) => ({ id: `x${i}`, at: T + i * HOUR, ms }));
    const path = await held(signed);
    const merger = threadedMerger();
    ending.push(() => merger.stop());
    const before = await opened(path, async (db) => ({
      rows: await rowsOf(db.level),
      states: await statesOf(db.level),
      list: (await listed(db, 'listings', 3)).map(idOf),
    }));
    expect(before.states.every((state) => state.listed !== undefined)).toBe(true);
    await opened(path, (db) => rebuildStore(db, merger, () => undefined));
    const identity = someIdentity(random);
    const other = join(folder(), 'db');
    await opened(path, async (db) => {
      expect(await rowsOf(db.level)).toEqual(before.rows);
      expect(await statesOf(db.level)).toEqual(before.states);
      expect((await listed(db, 'listings', 3)).map(idOf)).toEqual(before.list);
      const limits = { stalledMs: 60_000, heldMs: 60_000 };
      const backups = createBackups({
        db,
        identity,
        network: 'test',
        env: systemEnv,
        onTaken: () => undefined,
        limits,
      });
      await loadBackup(bytesOf(await backups.open({ withKeys: false })), other, {
        ...systemEnv,
        now: () => T + 999 * HOUR,
      });
    });
    const { level } = await openLevel(other, {
      createIfMissing: false,
      mayRepair: false,
      now: systemEnv.now,
    });
    const restored = await rowsOf(level);
    await level.close();
    expect(restored).toEqual(before.rows);
  });

  it('is given to the entries of a database from before it had a place, also when that is cut off', async () => {
    const path = await held(AHEAD.map((ms, i) => ({ id: `x${i}`, at: T + i, ms })));
    const merger = threadedMerger();
    ending.push(() => merger.stop());
    const bytes = await opened(path, async (db) => {
      const rows = await entriesOf(db.level);
      const keys = await db.level.keys(range('entries')).all();
      // As the older layout had them; of the first two the way was gone before.
      for (const [i, key] of keys.entries())
        if (i > 1) await db.level.put(key, withChecksum(key, rows[i]?.bytes ?? new Uint8Array()));
      const done = fullKey('meta', 'arrivals');
      await db.level.put(done, jsonWithChecksum(done, keys[1]));
      await db.level.put(VERSION, jsonWithChecksum(VERSION, 1));
      return rows.map((entry) => Buffer.from(entry.bytes).toString('hex'));
    });
    const started = Date.now();
    const node = await openLedgerNode(path, someIdentity(random), merger);
    const entries = await entriesOf(node.db.level);
    expect(entries.map((entry) => Buffer.from(entry.bytes).toString('hex'))).toEqual(bytes);
    expect(entries.slice(0, 2).map(({ arrived }) => arrived)).toEqual([T, T + 1]);
    for (const { arrived } of entries.slice(2)) expect(arrived).toBeGreaterThanOrEqual(started);
    expect(await node.db.level.get(fullKey('meta', 'arrivals'))).toBeUndefined();
    const list = (await listed(node.db, 'listings', 3)).map(idOf);
    await node.close();
    expect(list.length).toBe(AHEAD.length);
  });
});

describe('keys of numbers', () => {
  it('sort as times do, up to the largest that can be signed', () => {
    const times = fc.array(fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 2 ** 32, ...AHEAD)));
    fc.assert(
      fc.property(times, (all) => {
        const keys = all.map(timeKey).toSorted();
        expect(keys).toEqual(all.toSorted((a, b) => a - b).map(timeKey));
      }),
    );
  });

  it('have a place for every number of theirs, and none for another', () => {
    for (const [value, digits] of [
      [2 ** 32, 8],
      [2 ** 48, 12],
      [-1, 8],
      [1.5, 8],
      [2 ** 53, 14],
      [Number.NaN, 8],
    ] as const)
      expect(() => numberKey(value, digits)).toThrow(RangeError);
    expect(numberKey(LIMITS.feedEntries)).toBe('ffffffff');
  });

  it('hold an arrival beside an entry of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 2 ** 31 - 1 }), (ops, arrived) => {
        const { bytes } = new Hand(someIdentity(randomFrom(1)), '00'.repeat(8)).sign([ops]);
        const read = readEntryRow('k', encodeEntryRow('k', { bytes, arrived: arrived * 1000 }));
        expect([Buffer.from(read.bytes).equals(bytes), read.arrived]).toEqual([true, arrived * 1000]);
      }),
      { numRuns: 50 },
    );
  });

  it('is in nothing that is decided: of the facts of a channel the first are the same wherever and whenever they came', async () => {
    const peer = someIdentity(random);
    const pen = { author: peer.peerId, epoch: random.hex(8) };
    const { key, ops } = privateRecord(pen, [peer.peerId]);
    const hand = new Hand(peer, pen.epoch, key);
    const entries = [entryOf(hand, ops, T)];
    for (const ms of [T + 9 * HOUR, 2 ** 53 - 1, T + 3 * HOUR, T + 6 * HOUR, T])
      for (const name of ['a', 'b'])
        entries.push(
          entryOf(hand, draftFact(hand.pen, 'transitions', { statement: `${name}${ms}` }, key).ops, ms),
        );
    const first: string[][] = [];
    for (const came of [T, T + 4 * HOUR, T + 10 * HOUR]) {
      const path = folder();
      const node = await openLedger(path, someIdentity(random), () => came);
      node.followStates.set(peer.peerId, 'followed');
      for (const entry of entries)
        expect(await node.ledger.receive([entry])).toMatchObject([{ kind: 'accept' }]);
      await node.close();
      await opened(path, async (db) => {
        const facts = await new Reader(db).factsOf('transitions', key, 5);
        first.push(facts.map(({ view }) => String(view['statement']).slice(1)));
      });
    }
    const signed = [T, T, T + 3 * HOUR, T + 3 * HOUR, T + 6 * HOUR].map(String);
    expect(first).toEqual([signed, signed, signed]);
  });
});
