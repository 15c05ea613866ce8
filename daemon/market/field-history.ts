import type { FieldHistory, WroteOp } from '../../protocols/market/conversation-members.ts';
import { actorOf, readOp } from '../../protocols/open-dialog/read-op.ts';
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

/** Whether an op of a private document is by a node: its actor is that of one of the node's epochs held here. */
export function wroteOp(store: Pick<Store, 'feeds'>): WroteOp {
  return (node, key, op) => {
    const actor = op.slice(op.indexOf('@') + 1);
    return store.feeds(node, key).some(({ epoch }) => actorOf(node, epoch, key) === actor);
  };
}
