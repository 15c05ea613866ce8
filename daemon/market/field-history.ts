import type { FieldHistory } from '../../protocols/market/conversation-members.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { Store } from '../../storage/store.ts';

/** Every value that a document's field was set to, read from the ops themselves. */
export function fieldHistory(store: Pick<Store, 'recordOps'>): FieldHistory {
  return async (key, field) =>
    (await store.recordOps(key)).flatMap((placed) => {
      const read = readOp(placed);
      if (!('reading' in read) || read.reading.kind !== 'change') return [];
      return read.reading.change.ops.flatMap((op) =>
        op.action === 'set' && op.field === field && op.value !== undefined ? [op.value] : [],
      );
    });
}
