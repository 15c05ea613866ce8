import { sliced, soleTurn } from '../../protocols/ledger/turn.ts';
import type { Database } from '../database.ts';
import { type BatchOp, fullKey, innerKey, numberKey } from '../keyspace.ts';
import { withChecksum } from '../values.ts';
import { existing } from './changed-listings.ts';
import { Listings } from './listings.ts';
import { type Manifest, MANIFEST } from './manifest.ts';
import type { Segment } from './segment.ts';
import { encodedRows, segmentStart } from './segment-rows.ts';
import { sortedWords } from './word-order.ts';

/** Rows of one batch: some hundred kilobytes. */
const ROWS_AT_ONCE = 64;

/** Writes the rows of a segment. Nobody reads them before a manifest names it. */
export async function writeSegment(
  db: Pick<Database, 'batch' | 'env'>,
  no: number,
  listings: Listings,
): Promise<void> {
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

/** Consecutive segments merged into one; `isCleared`: without what has changed since. */
export async function joined(
  db: Pick<Database, 'level' | 'env'>,
  segments: readonly Segment[],
  isCleared: boolean,
): Promise<Listings> {
  const turn = soleTurn(db.env);
  const listings = new Listings();
  for (const segment of segments) {
    const stands = isCleared ? await existing(db, await segment.numbers()) : undefined;
    await segment.addTo(listings, (number) => stands?.has(number) ?? true, turn);
  }
  return listings;
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
