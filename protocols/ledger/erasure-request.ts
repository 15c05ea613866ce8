import { type ErasureStatement, placeOf } from '../feed/erasure.ts';
import { outlastsErasure, readOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import { sha256Hex } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';

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
