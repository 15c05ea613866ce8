import { afterEach, beforeEach, expect, it } from 'vitest';
import { askedListings } from '../../../api/asked-listings.ts';
import type { Notice } from '../../../daemon/notices/notice.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type StoredWant, WANT_LIMITS, WantBook } from '../../../daemon/wants/want-book.ts';
import { WantFollower } from '../../../daemon/wants/want-follower.ts';
import { type RecordKey, recordKey } from '../../../protocols/wire/ids.ts';
import { Database } from '../../../storage/database.ts';
import type { BatchOp } from '../../../storage/keyspace.ts';
import { readRecords } from '../../../storage/record-rows.ts';
import { ChangedListingRows, WantTable } from '../../../storage/want-table.ts';
import { plainState, recordRows } from '../../support/record-rows.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { peerId: self } = nodeOf(2);
const DAY_MS = 86_400_000;
const NOON = 20_000 * DAY_MS + DAY_MS / 2;

let dir: ReturnType<typeof tempDir>;
let db: Database;
let rows: ChangedListingRows;
let book: WantBook;
let follower: WantFollower;
let now = NOON;
let written = 0;
/** Whatever ends a batch. */
let cut: (() => boolean) | undefined;
const told = new Map<string, Notice>();
const warnings: string[] = [];

/** As another process after a kill. */
async function start(): Promise<void> {
  rows = new ChangedListingRows();
  await rows.read(db.level);
  rows.follow();
  const table = new WantTable<StoredWant>(db);
  const env = { ...systemEnv, now: () => now };
  book = new WantBook({
    table,
    rows,
    asked: (query) => askedListings(query, { reason: () => undefined, active: true }),
    isUser: () => true,
    env,
    refusal: () => undefined,
    warn: (message) => warnings.push(message),
  });
  await book.load();
  follower = new WantFollower({
    self,
    book,
    table,
    records: (keys) => readRecords(db, keys),
    async raise(notices, beside) {
      if (cut?.() === true) throw new Error('cut off');
      const fresh = notices.filter(({ event, userId }) => !told.has(`${userId} ${event}`));
      await db.batch([...beside(fresh)], true);
      for (const notice of fresh) told.set(`${notice.userId} ${notice.event}`, notice);
      return fresh;
    },
    write: (ops) => db.batch(ops, false),
    env,
    warn: (message) => warnings.push(message),
  });
}

/** What a commit writes of listings. */
async function commit(titles: readonly string[]): Promise<void> {
  const changes = titles.map((title) => {
    const key: RecordKey = recordKey('listings', self, `l${++written}`);
    return { key, before: undefined, after: plainState(key, { type: 'offer', title, userId: 'mary' }, now) };
  });
  const ops: BatchOp[] = changes.flatMap(({ after }) => recordRows(undefined, after, written));
  await db.batch([...ops, ...rows.rows(changes, now)], true);
}
const many = (count: number): string[] => Array.from({ length: count }, () => 'Maize');
const queued = async (): Promise<number> => (await new WantTable(db).changed(1000)).length;

async function look(): Promise<number> {
  const before = told.size;
  follower.wake();
  await follower.idle();
  return told.size - before;
}

beforeEach(async () => {
  dir = tempDir('want-follower');
  db = await Database.open(dir.path, systemEnv);
  now = NOON;
  cut = undefined;
  told.clear();
  await start();
});
afterEach(async () => {
  await follower.stop();
  expect(warnings.splice(0)).toEqual([]);
  await db.close();
  dir.remove();
});

it('a user is told of 1000 listings in a day, and then once that there are more', async () => {
  await book.save({ userId: 'amina', query: { q: 'corn' } });
  await book.save({ userId: 'ben', query: { q: 'rice' } });
  await commit([...many(WANT_LIMITS.toldADay), 'Rice']);
  expect(await look()).toBe(WANT_LIMITS.toldADay + 1);
  await commit(many(100));
  expect(await look()).toBe(1);
  expect([...told.values()].at(-1)).toMatchObject({
    userId: 'amina',
    text: 'want.more',
    values: { want: 'corn' },
  });
  await commit([...many(100), 'Rice']);
  expect(await look()).toBe(1);
  now += DAY_MS;
  await commit(many(100));
  expect(await look()).toBe(100);
});

it('the count of a day outlives the process, and no batch goes beyond it', async () => {
  const { toldADay } = WANT_LIMITS;
  await book.save({ userId: 'amina', query: { q: 'corn' } });
  await commit(many(toldADay - 10));
  let batches = 0;
  cut = () => ++batches === 15;
  await look();
  expect(warnings.splice(0)).toEqual(['saved searches are delayed']);
  await follower.stop();
  await start();
  cut = undefined;
  await look();
  expect(told.size).toBe(toldADay - 10);
  await follower.stop();
  await start();
  await commit(many(30));
  await look();
  const texts = [...told.values()].map(({ text }) => text);
  expect(texts.filter((text) => text === 'want')).toHaveLength(toldADay);
  expect(texts.filter((text) => text === 'want.more')).toHaveLength(1);
  await follower.stop();
  await start();
  await commit(many(30));
  expect(await look()).toBe(0);
  now += DAY_MS;
  await commit(many(5));
  expect(await look()).toBe(5);
});

it('a listing that many wants find is told in batches, and to each once when it is cut off in between', async () => {
  for (let n = 0; n < 500; n++) await book.save({ userId: `user-${n % 10}`, query: { q: 'maize' } });
  await commit(many(3));
  let batches = 0;
  cut = () => ++batches === 5;
  expect(await look()).toBe(4 * 64);
  expect(warnings.splice(0)).toEqual(['saved searches are delayed']);
  await follower.stop();
  await start();
  await look();
  expect(told.size).toBe(1500);
  expect(await queued()).toBe(0);
});

it('a want looks for what is committed after it, over restarts too, and commits leave nothing without one', async () => {
  await commit(many(3));
  expect(await queued()).toBe(0);
  const want = await book.save({ userId: 'amina', query: { q: 'maize' } });
  expect(await look()).toBe(0);
  await commit(many(200));
  expect(await queued()).toBe(4);
  await book.save({ userId: 'ben', query: { q: 'maize' } });
  await follower.stop();
  await start();
  expect(await look()).toBe(200);
  expect([...told.values()].every(({ userId }) => userId === 'amina')).toBe(true);
  await follower.stop();
  await start();
  await commit(many(1));
  expect(await look()).toBe(2);
  await book.remove('amina', want.id);
  await commit(many(1));
  expect(await look()).toBe(1);
  for (const { id } of book.list('ben', 10).wants) await book.remove('ben', id);
  await commit(many(1));
  expect(await queued()).toBe(0);
});

it('the turns of a rebuild leave no rows: what it writes has been told', async () => {
  await book.save({ userId: 'amina', query: { q: 'maize' } });
  rows = new ChangedListingRows();
  await rows.read(db.level);
  await commit(many(3));
  expect(await queued()).toBe(0);
});
