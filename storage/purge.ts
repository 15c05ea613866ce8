import { COLLECTIONS } from '../protocols/open-dialog/schema.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { publicIdOf, type RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, range, type SublevelName } from './keyspace.ts';
import { ERASING } from './commit-rows.ts';
import { putJson, verifiedJson } from './values.ts';

/** Tables outside the feeds whose rows may repeat a record's content. */
const REPEATING: readonly SublevelName[] = [
  'events',
  'privateEvents',
  'notifications',
  'jobs',
  'idempotency',
];
/** The answer to a repeated request whose first answer contained something that has been erased since. */
const GONE = {
  status: 410,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    error: 'what this request wrote has been erased',
    message: 'what this request wrote has been erased',
    code: 'erased',
  }),
};
/** Below and above every key of every sublevel. */
const LOWEST = '!';
const HIGHEST = '~';
const NOTHING = new Uint8Array(0);

/** Records of which ops were erased and that may still be repeated on the disk. */
export async function erasedRecords(db: Database): Promise<RecordKey[]> {
  const keys: RecordKey[] = [];
  for await (const [key, value] of db.level.iterator(range('meta', ERASING)))
    keys.push(verifiedJson<RecordKey>(key, value));
  return keys;
}

/**
 * Removes copies of erased records from the tables outside the feeds, then from LevelDB's files: an overwritten value stays in them
 * until they are compacted. Repeated at the next start if interrupted. `isDone` says at the end of each record whether more of it
 * was erased meanwhile.
 */
export async function purgeErased(
  db: Database,
  records: readonly RecordKey[],
  isDone: (key: RecordKey) => boolean = () => true,
): Promise<void> {
  if (records.length === 0) return;
  const names = records.map((key) => Buffer.from(publicIdOf(key)));
  const ops = await withoutRepeats(db, (text) => names.some((name) => text.includes(name)));
  if (ops.length > 0) await db.batch(ops, true);
  await compact(db);
  await db.batch(
    records.filter(isDone).map((key) => ({ type: 'del', key: fullKey('meta', ERASING + key) })),
    true,
  );
}

/** Removes copies of this author's records that are no longer held from the tables outside the feeds and from LevelDB's files. */
export async function purgeGone(db: Database, author: PeerId): Promise<void> {
  const held = new Map<string, boolean>();
  const isGone = async (name: string): Promise<boolean> => {
    const known = held.get(name) ?? (await isHeld(db, name));
    held.set(name, known);
    return !known;
  };
  const names = new RegExp(`${author}\\.[\\w-]{1,64}`, 'g');
  const ops = await withoutRepeats(db, async (text) => {
    for (const [name] of text.toString('latin1').matchAll(names)) if (await isGone(name)) return true;
    return false;
  });
  if (ops.length === 0) return;
  await db.batch(ops, true);
  await compact(db);
}

/** Removes the content from rows whose text repeats something. */
async function withoutRepeats(
  db: Database,
  isRepeat: (text: Buffer) => boolean | Promise<boolean>,
): Promise<BatchOp[]> {
  const ops: BatchOp[] = [];
  for (const table of REPEATING)
    for await (const [key, value] of db.level.iterator(range(table))) {
      const text = Buffer.from(value.buffer, value.byteOffset, value.length);
      if (await isRepeat(text)) ops.push(withoutContent(table, key, value));
    }
  return ops;
}

async function isHeld(db: Database, name: string): Promise<boolean> {
  const [owner, id] = name.split('.');
  const keys = Object.keys(COLLECTIONS).map((collection) =>
    fullKey('records', `${collection}/${owner}/${id}`),
  );
  return (await db.level.getMany(keys)).some((row) => row !== undefined);
}

function withoutContent(table: SublevelName, key: string, value: Uint8Array): BatchOp {
  if (table !== 'idempotency') return { type: 'del', key };
  return putJson(key, { ...verifiedJson<object>(key, value), answer: GONE });
}

/**
 * Makes LevelDB rewrite all its tables. It leaves alone what is in the last level by itself, and writes its memory out with every
 * version of a value; so a row below and a row above everything are written in between, which makes all of it overlap.
 */
async function compact(db: Database): Promise<void> {
  await db.level.compactRange(LOWEST, HIGHEST);
  for (const type of ['put', 'del'] as const) {
    const ends = [LOWEST, HIGHEST].map((key): BatchOp =>
      type === 'put' ? { type, key, value: NOTHING } : { type, key },
    );
    await db.batch(ends, true);
    await db.level.compactRange(LOWEST, HIGHEST);
  }
}
