import { compareTimes } from '../../protocols/feed/clock.ts';
import type { FieldHistory } from '../../protocols/market/conversation-members.ts';
import { inTurns } from '../../protocols/market/in-turns.ts';
import type { Scalar } from '../../protocols/open-dialog/change.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { PlacedOp } from '../../protocols/open-dialog/record.ts';
import type { Store } from '../../storage/store.ts';

/** Every value that a document's field was set to, read from the ops themselves. */
export function fieldHistory(store: Pick<Store, 'recordOps'>): FieldHistory {
  return async (key, field) => {
    const authors = Map.groupBy(await store.recordOps(key), ({ author }) => author);
    const lists = [...authors]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, ops]) => ops.toSorted(bySigned).flatMap((placed) => valuesIn(placed, field)));
    return inTurns(lists);
  };
}

/** By what the author signed; where feeds stand here depends on when they came. */
function bySigned(a: PlacedOp, b: PlacedOp): number {
  return (
    compareTimes(a.time, b.time) ||
    (a.epoch < b.epoch ? -1 : a.epoch > b.epoch ? 1 : a.seq - b.seq || a.index - b.index)
  );
}

function valuesIn(placed: PlacedOp, field: string): Scalar[] {
  const read = readOp(placed);
  if (!('reading' in read) || read.reading.kind !== 'change') return [];
  return read.reading.change.ops.flatMap((op) =>
    op.action === 'set' && op.field === field && op.value !== undefined ? [op.value] : [],
  );
}
