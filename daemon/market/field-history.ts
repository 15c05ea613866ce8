import type { FieldHistory } from '../../protocols/market/conversation-members.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { Store } from '../../storage/store.ts';

/** The history of a document's field, read from the ops themselves, one at a time: there may be millions. */
export function fieldHistory(store: Pick<Store, 'opsOf'>): FieldHistory {
  return async function* (key, field) {
    for await (const placed of store.opsOf(key)) {
      const read = readOp(placed);
      if (!('reading' in read) || read.reading.kind !== 'change') continue;
      const { author, time, epoch, seq, index } = placed;
      for (const op of read.reading.change.ops)
        if (op.action === 'set' && op.field === field && op.value !== undefined)
          yield { value: op.value, author, time, epoch, seq, index };
    }
  };
}
