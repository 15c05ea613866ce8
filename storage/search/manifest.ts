import { sliced, soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from '../keyspace.ts';
import { openRow } from '../record-rows.ts';
import type { StoredRecord } from '../stored-record.ts';
import { putJson, verifiedJson, withChecksum } from '../values.ts';
import { kept, Listings } from './listings.ts';
import { searchedOf } from './searched.ts';
import { type SegmentHead, SegmentReader, Segment } from './segment.ts';
import { encodedRows, segmentStart } from './segment-rows.ts';
import { sortedWords } from './word-order.ts';

type SearchDatabase = Pick<Database, 'level' | 'batch' | 'env'>;

/** How words are folded and rows written: another number makes an index of before be made anew. */
const FORM = 2;

/** Which segments there are, and up to which change the index stands. */
export interface Manifest {
  readonly form: number;
  readonly place: number;
  /** Of the next segment; a number is never used again. */
  readonly next: number;
  readonly segments: readonly SegmentHead[];
}

export const MANIFEST = fullKey('search', 'manifest');
export const EMPTY_INDEX: Manifest = { form: FORM, place: 0, next: 1, segments: [] };

export const manifestRow = (manifest: Manifest): BatchOp => putJson(MANIFEST, manifest);

/** Undefined where there is none, or it is damaged or of another form. */
export async function readManifest(db: Pick<Database, 'level'>): Promise<Manifest | undefined> {
  const value = await db.level.get(MANIFEST);
  if (value === undefined) return undefined;
  try {
    const manifest = verifiedJson<Manifest>(MANIFEST, value);
    return manifest.form === FORM ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Rows of one batch: some hundred kilobytes. */
const ROWS_AT_ONCE = 64;

/** Writes the rows of a segment. Nobody reads them before a manifest names it. */
export async function writeSegment(db: SearchDatabase, no: number, listings: Listings): Promise<void> {
  const turn = soleTurn(db.env);
  let ops: BatchOp[] = [];
  const words = await sliced(sortedWords(listings.words.keys()), turn);
  for (const [key, value] of encodedRows(no, listings, words)) {
    ops.push({ type: 'put', key, value: withChecksum(key, value) });
    if (turn.isOver()) await turn.next();
    if (ops.length < ROWS_AT_ONCE) continue;
    await db.batch(ops, false);
    ops = [];
  }
  await db.batch(ops, false);
}

/** Takes away the rows of segments; what a manifest names is not among them. */
export async function clearSegments(
  { level }: Pick<Database, 'level'>,
  nos: Iterable<number>,
): Promise<void> {
  for (const no of nos) await level.clear({ gte: segmentStart(no), lt: `${segmentStart(no)}~` });
}

/** Takes away rows of segments that no manifest names: those of one that was being written. */
export async function clearOrphans(db: Pick<Database, 'level'>, { segments }: Manifest): Promise<void> {
  const known = new Set(segments.map(({ no }) => numberKey(no)));
  for (let after = fullKey('search', ''); ;) {
    const [key] = await db.level.keys({ gte: after, lt: MANIFEST, limit: 1 }).all();
    if (key === undefined) return;
    const no = innerKey(key).slice(0, 8);
    after = `${fullKey('search', no)}~`;
    if (!known.has(no)) await db.level.clear({ gte: fullKey('search', no), lt: after });
  }
}

/** Numbers that are looked for at once. */
const ASKED_AT_ONCE = 256;

/** Those of some change numbers at which a record stands. */
export async function standing(
  { level, env }: Pick<Database, 'level' | 'env'>,
  numbers: readonly number[],
): Promise<Set<number>> {
  const turn = soleTurn(env);
  const found = new Set<number>();
  for (let at = 0; at < numbers.length; at += ASKED_AT_ONCE) {
    const some = numbers.slice(at, at + ASKED_AT_ONCE);
    const rows = await level.getMany(some.map((number) => fullKey('changes', numberKey(number, 12))));
    for (const [i, number] of some.entries()) if (rows[i] !== undefined) found.add(number);
    if (turn.isOver()) await turn.next();
  }
  return found;
}

/** Changes behind `from`, up to `to`. */
export interface ChangeSpan {
  readonly from: number;
  readonly to: number;
}

export function changeRange(from: number, to?: number) {
  const gt = fullKey('changes', numberKey(from, 12));
  return to === undefined
    ? { gt, lt: range('changes').lt }
    : { gt, lte: fullKey('changes', numberKey(to, 12)) };
}

/** Listings among some changes, as their records say them, in turns; `missed` gets the numbers of those whose records cannot be read. */
export async function listingsOf(
  db: Pick<Database, 'level'>,
  turn: Turn,
  changes: readonly (readonly [key: string, value: Uint8Array])[],
  take: (number: number, stored: StoredRecord) => void,
  // The scrub makes it anew, and then it is a change.
  missed: (number: number) => void = () => undefined,
): Promise<void> {
  const wanted = changes.flatMap(([key, value]) => {
    const record = Buffer.from(value).toString() as RecordKey;
    return record.startsWith('listings/') ? [{ number: Number.parseInt(innerKey(key), 16), record }] : [];
  });
  const rows = await db.level.getMany(wanted.map(({ record }) => fullKey('records', record)));
  for (const [i, { number, record }] of wanted.entries()) {
    const row = rows[i];
    const stored = row && openRow(record, row, () => undefined);
    // What changed since stands at another number.
    if (stored?.change === number) take(number, stored);
    else missed(number);
    if (turn.isOver()) await turn.next();
  }
}

/** What a segment over some changes has to be. */
export async function listingsBetween(
  db: SearchDatabase,
  { from, to }: ChangeSpan,
  missed?: (number: number) => void,
): Promise<Listings> {
  const turn = soleTurn(db.env);
  const listings = new Listings();
  const rows = db.level.iterator(changeRange(from, to));
  try {
    for (;;) {
      const some = await rows.nextv(64);
      if (some.length === 0) return listings;
      const take = (number: number, { state }: StoredRecord): void => {
        const listing = searchedOf(state);
        if (listing !== undefined) listings.add(number, listing);
      };
      await listingsOf(db, turn, some, take, missed);
    }
  } finally {
    await rows.close();
  }
}

/** Segments that stand behind one another as one; `isCleared`: without what has changed since. */
export async function joined(
  db: SearchDatabase,
  segments: readonly Segment[],
  isCleared: boolean,
): Promise<Listings> {
  const turn = soleTurn(db.env);
  const listings = new Listings();
  for (const segment of segments) {
    const stands = isCleared ? await standing(db, await segment.numbers()) : undefined;
    await segment.addTo(listings, (number) => stands?.has(number) ?? true, turn);
  }
  return listings;
}

/**
 * Compares a segment with what the records among its changes say: undefined where they agree. What came into a segment and changed since
 * does not matter, nor what cannot be compared since its record cannot be read. Throws what the database throws.
 */
export async function segmentProblem(
  db: SearchDatabase,
  head: SegmentHead,
): Promise<'damaged' | 'stale' | undefined> {
  const turn = soleTurn(db.env);
  const missed = new Set<number>();
  const wanted = await listingsBetween(db, head, (number) => missed.add(number));
  const segment = new Segment(head, new SegmentReader(db));
  const stored = new Listings();
  try {
    // Asked when both are there, and of both: no record stands again at a number where it has stood, so commits meanwhile do no harm.
    const stand = await standing(db, [...new Set([...wanted.numbers, ...(await segment.numbers())])]);
    const counts = (number: number): boolean => stand.has(number) && !missed.has(number);
    await segment.addTo(stored, counts, turn);
    return (await isSame(stored, await sliced(kept(wanted, counts), turn), turn)) ? undefined : 'stale';
  } catch (error) {
    if (!isOfOneRecord(error)) throw error;
    return 'damaged';
  }
}

async function isSame(a: Listings, b: Listings, turn: Turn): Promise<boolean> {
  const [left, right] = [
    encodedRows(0, a, await sliced(sortedWords(a.words.keys()), turn)),
    encodedRows(0, b, await sliced(sortedWords(b.words.keys()), turn)),
  ];
  for (;;) {
    const [one, other] = [left.next(), right.next()];
    if (one.done === true || other.done === true) return one.done === other.done;
    if (one.value[0] !== other.value[0] || !Buffer.from(one.value[1]).equals(other.value[1])) return false;
    if (turn.isOver()) await turn.next();
  }
}
