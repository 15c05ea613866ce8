import type { FieldHistory } from '../../protocols/market/conversation-members.ts';
import type { Scalar } from '../../protocols/open-dialog/change.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { Store } from '../../storage/store.ts';

/** Every value that a document's field was set to, read from the ops themselves, of which there may be millions: each value once. */
export function fieldHistory(store: Pick<Store, 'opsOf'>): FieldHistory {
  return async (key, field) => {
    const values = new Set<Scalar>();
    for await (const placed of store.opsOf(key)) {
      const read = readOp(placed);
      if (!('reading' in read) || read.reading.kind !== 'change') continue;
      for (const op of read.reading.change.ops)
        if (op.action === 'set' && op.field === field && op.value !== undefined) values.add(op.value);
    }
    return [...values];
  };
}
