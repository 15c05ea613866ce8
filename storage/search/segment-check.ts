import { sliced, soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import type { Database } from '../database.ts';
import { listingsBetween, existing } from './changed-listings.ts';
import { kept, Listings } from './listings.ts';
import { Segment, type SegmentHead, SegmentReader } from './segment.ts';
import { encodedRows } from './segment-rows.ts';
import { sortedWords } from './word-order.ts';

/**
 * Compares a segment with the records of its changes: undefined where they agree. What was added to a segment and changed since does
 * not matter, nor what cannot be compared because its record cannot be read. Throws what the database throws.
 */
export async function segmentProblem(
  db: Pick<Database, 'level' | 'env'>,
  head: SegmentHead,
): Promise<'damaged' | 'stale' | undefined> {
  const turn = soleTurn(db.env);
  const missed = new Set<number>();
  const wanted = await listingsBetween(db, head, (number) => missed.add(number));
  const segment = new Segment(head, new SegmentReader(db));
  const stored = new Listings();
  try {
    // Checked when both are available, and for both: a number never gets a record again, so commits meanwhile do no harm.
    const stand = await existing(db, [...new Set([...wanted.numbers, ...(await segment.numbers())])]);
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
