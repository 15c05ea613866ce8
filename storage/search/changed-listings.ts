import { soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../database.ts';
import { fullKey, innerKey, numberKey, range } from '../keyspace.ts';
import { decodeRecordRow } from '../record-rows.ts';
import type { StoredRecord } from '../stored-record.ts';
import { Listings } from './listings.ts';
import { searchedOf } from './searched.ts';
import { chunks } from '../level.ts';

/** Rows of changes that are read at once. */
export const CHANGES_AT_ONCE = 64;
/** Numbers that are looked for at once. */
const ASKED_AT_ONCE = 256;

/** Those of some change numbers that still have a record. */
export async function existing(
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
  // The scrub recreates it, which is a change.
  missed: (number: number) => void = () => undefined,
): Promise<void> {
  const wanted = changes.flatMap(([key, value]) => {
    const record = Buffer.from(value).toString() as RecordKey;
    return record.startsWith('listings/') ? [{ number: Number.parseInt(innerKey(key), 16), record }] : [];
  });
  const rows = await db.level.getMany(wanted.map(({ record }) => fullKey('records', record)));
  for (const [i, { number, record }] of wanted.entries()) {
    const row = rows[i];
    const stored = row && decodeRecordRow(record, row, () => undefined);
    // What changed since has another number.
    if (stored?.change === number) take(number, stored);
    else missed(number);
    if (turn.isOver()) await turn.next();
  }
}

/** What a segment over some changes must contain. */
export async function listingsBetween(
  db: Pick<Database, 'level' | 'env'>,
  { from, to }: ChangeSpan,
  missed?: (number: number) => void,
): Promise<Listings> {
  const turn = soleTurn(db.env);
  const listings = new Listings();
  const take = (number: number, { state }: StoredRecord): void => {
    const listing = searchedOf(state);
    if (listing !== undefined) listings.add(number, listing);
  };
  for await (const some of chunks(db.level.iterator(changeRange(from, to)), CHANGES_AT_ONCE))
    await listingsOf(db, turn, some, take, missed);
  return listings;
}
