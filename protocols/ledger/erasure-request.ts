import { type ErasureStatement, placeOf } from '../feed/erasure.ts';
import { LIMITS } from '../wire/limits.ts';
import { outlastsErasure, readOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import { sha256Hex } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';

/** Statements of one entry: each is signed by itself, and all of them between two turns of the event loop. */
const STATEMENTS = 256;
/** Bytes that a statement and each op that it names take at most, its envelope and the op around it included. */
const [STATEMENT_BYTES, NAMED_OP_BYTES] = [768, 48];

/** Statements in groups that fit one entry each: a record that was changed thousands of times is erased by several. */
export function* statementsByEntry(statements: readonly ErasureStatement[]): Generator<ErasureStatement[]> {
  let group: ErasureStatement[] = [];
  let bytes = 0;
  for (const statement of statements) {
    const size = STATEMENT_BYTES + NAMED_OP_BYTES * statement.ops.length;
    if (group.length === STATEMENTS || (group.length > 0 && bytes + size > LIMITS.entryBytes / 2)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(statement);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

/** One statement for each entry of `author` that has ops of the record; tombstones and erasures stay. */
export function erasureStatements(
  author: PeerId,
  record: RecordKey,
  ops: readonly PlacedOp[],
  now: number,
): ErasureStatement[] {
  const byEntry = new Map<string, PlacedOp[]>();
  for (const placed of ops) {
    const read = readOp(placed);
    if (placed.author !== author || ('reading' in read && outlastsErasure(read.reading))) continue;
    const place = placeOf(placed);
    byEntry.set(place, [...(byEntry.get(place) ?? []), placed]);
  }
  return [...byEntry.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { channel, epoch, seq } = first;
    const erased = group
      .map(({ index, bytes }) => ({ index, hash: sha256Hex(bytes) }))
      .sort((a, b) => a.index - b.index);
    return [{ channel, epoch, seq, record, ops: erased, time: now }];
  });
}
