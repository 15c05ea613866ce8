import type { Covered, OpPlace, PastCommit, PastRow } from '../protocols/ledger/ports.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import type { PastChange } from '../protocols/open-dialog/late-change.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { del } from './commit-rows.ts';
import { type BatchOp, fullKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { opNumberIn } from './op-numbers.ts';
import { putJson, verifiedJson, verifyChecksum } from './values.ts';

/** Between a record's key and the number of a feed: how far that was walked. A hash does not begin so. */
const WALKED = 'w ';

export function pastKey(key: RecordKey, hash: string): string {
  return fullKey('past', `${key}\0${hash}`);
}

export function walkedKey(key: RecordKey, feedNo: number): string {
  return fullKey('past', `${key}\0${WALKED}${numberKey(feedNo)}`);
}

/** The part of such a key after the record's: the feed whose reading it describes; undefined for that of a change. */
export function walkedFeed(name: string): number | undefined {
  return name.startsWith(WALKED) ? Number.parseInt(name.slice(WALKED.length), 16) : undefined;
}

export function pastPuts(key: RecordKey, rows: readonly PastRow[]): BatchOp[] {
  return rows.map(([hash, past]) => putJson(pastKey(key, hash), past));
}

/** All rows of a record, or only those that say how far it was read. */
export function pastRange(key: RecordKey, without: 'all' | 'walks'): { gte: string; lt: string } {
  return range('past', without === 'all' ? `${key}\0` : `${key}\0${WALKED}`);
}

/** Adds the rows of what a commit keeps of changes, and of what it takes out. */
export async function pastRows(
  level: Level,
  commits: readonly PastCommit[],
  ops: BatchOp[],
  turn: Turn,
): Promise<void> {
  for (const { key, rows, without } of commits) {
    if (without !== undefined)
      for await (const full of level.keys(pastRange(key, without))) {
        if (turn.isOver()) await turn.next();
        ops.push(del(full));
      }
    for (const row of rows) {
      if (turn.isOver()) await turn.next();
      ops.push(...pastPuts(key, [row]));
    }
  }
}

export async function readPast(
  level: Level,
  key: RecordKey,
  hashes: readonly string[],
): Promise<(PastChange | undefined)[]> {
  const keys = hashes.map((hash) => pastKey(key, hash));
  return (await level.getMany(keys)).map(
    (value, i) => value && verifiedJson<PastChange>(keys[i] ?? '', value),
  );
}

export async function readWalked(level: Level, key: RecordKey, feedNo: number): Promise<readonly Covered[]> {
  const full = walkedKey(key, feedNo);
  const value = await level.get(full);
  return value === undefined ? [] : verifiedJson<readonly Covered[]>(full, value);
}

/** The number in a row that leads from a record to an op, where there is one. */
export function numberIn(full: string, value: Uint8Array): number | undefined {
  return value.length === 0 ? undefined : opNumberIn(verifyChecksum(full, value));
}

/** The end of such a row's key that names a place within a feed. */
export function placeKey({ seq, index }: OpPlace): string {
  return index < 0 ? numberKey(seq) : `${numberKey(seq)}${numberKey(index, 4)}`;
}
