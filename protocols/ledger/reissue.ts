import type { ReadOp } from '../open-dialog/read-op.ts';
import type { PlacedOp, RecordState } from '../open-dialog/record.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import type { RecordKey } from '../wire/ids.ts';
import { draftEdit } from './drafts.ts';
import type { WriteRequest } from './types.ts';
import type { RecordChange } from './ports.ts';

/** An op that a fork of this node's own feed took away, as it was read. */
export interface UndoneOp {
  readonly placed: PlacedOp;
  readonly read: ReadOp;
}

/**
 * The writes that restore what a fork of this node's own feed invalidated. Facts, creations of private records and tombstones are
 * issued as the same ops, because their names are hashes of their bytes; a document gets the values that it showed before. Creations
 * come first.
 */
export function reissueRequests(
  undone: readonly UndoneOp[],
  changes: readonly RecordChange[],
): WriteRequest[] {
  const before = new Map(changes.map((change) => [change.key, change.before]));
  const creations: WriteRequest[] = [];
  const others: WriteRequest[] = [];
  const documents = new Set<RecordKey>();
  for (const { placed, read } of undone) {
    if ('problem' in read) {
      if (read.erasure !== undefined) others.push(eraseAgain(placed, read.erasure.record));
      continue;
    }
    const { key, reading } = read;
    if (reading.kind === 'erasure') {
      others.push(eraseAgain(placed, key));
      continue;
    }
    const known = before.get(key);
    if (known === undefined || !(known.exists || known.tombstone)) continue;
    switch (reading.kind) {
      case 'change':
        documents.add(key);
        break;
      case 'members':
        creations.push(again(placed, key, (state) => state?.members !== undefined));
        break;
      case 'fact':
        others.push(again(placed, key, (state) => state?.exists === true));
        break;
      case 'tombstone':
        others.push(again(placed, key, (state) => state?.tombstone === true));
        break;
    }
  }
  // A record that ended shows nothing, and no edit would count for it.
  for (const { key, before: known } of changes) {
    if (known === undefined || !known.exists || known.tombstone || !isDocument(key)) continue;
    if (documents.has(key)) others.push(restore(key, known));
  }
  return [...creations, ...others];
}

function isDocument(key: RecordKey): boolean {
  return collectionOf(key)?.kind === 'document';
}

function again(
  { bytes, channel }: PlacedOp,
  key: RecordKey,
  stands: (state: RecordState | undefined) => boolean,
): WriteRequest {
  return { keys: [key], draft: (_pen, read) => (stands(read(key)) ? [] : [{ key, channel, ops: [bytes] }]) };
}

/** What was erased stays erased: a node that did not receive the erasure below the fork receives it above. */
function eraseAgain({ bytes, channel }: PlacedOp, record: RecordKey): WriteRequest {
  const key = channel === 'public' ? record : channel;
  return { keys: [], draft: () => [{ key, channel, ops: [bytes] }] };
}

function restore(key: RecordKey, before: RecordState): WriteRequest {
  return {
    keys: [key],
    draft: (writer, read) => {
      const now = read(key);
      // What was deleted before the fork reappears without the deletion, and is deleted again.
      const gone = Object.keys(now?.view ?? {}).filter((field) => !Object.hasOwn(before.view, field));
      const patch = { ...Object.fromEntries(gone.map((field) => [field, undefined])), ...before.view };
      const isEnded = now?.tombstone === true || now?.erased === true;
      return isEnded ? [] : [draftEdit(writer, key, before.channel, now, patch)];
    },
  };
}
