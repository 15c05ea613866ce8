import type { Checkpoint } from '../feed/checkpoint.ts';
import type { ReadOp } from '../open-dialog/read-op.ts';
import type { PlacedOp, RecordState } from '../open-dialog/record.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import type { RecordKey } from '../wire/ids.ts';
import { draftCheckpoint, draftEdit } from './drafts.ts';
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
export class Reissues {
  readonly #creations: WriteRequest[] = [];
  readonly #others: WriteRequest[] = [];
  /** Records that showed something, or had ended. */
  readonly #stood = new Set<RecordKey>();

  get all(): readonly WriteRequest[] {
    return [...this.#creations, ...this.#others];
  }

  /** Notes what one batch has taken away. A record is among the changes of the batch that has its first op, and of no later one. */
  add(undone: readonly UndoneOp[], changes: readonly RecordChange[]): void {
    for (const { key, before } of changes)
      if (before !== undefined && (before.exists || before.tombstone)) this.#stood.add(key);
    const documents = new Set<RecordKey>();
    for (const each of undone) this.#addOp(each, documents);
    // A record that ended shows nothing, and no edit would count for it.
    for (const { key, before } of changes) {
      if (before === undefined || !before.exists || before.tombstone || !isDocument(key)) continue;
      if (documents.has(key)) this.#others.push(restore(key, before));
    }
  }

  #addOp({ placed, read }: UndoneOp, documents: Set<RecordKey>): void {
    if ('problem' in read) {
      if (read.erasure !== undefined) this.#others.push(eraseAgain(placed, read.erasure.record));
      if (read.checkpoint !== undefined) this.#others.push(checkpointAgain(read.checkpoint));
      return;
    }
    const { key, reading } = read;
    if (reading.kind === 'erasure') this.#others.push(eraseAgain(placed, key));
    if (!this.#stood.has(key)) return;
    switch (reading.kind) {
      case 'change':
        documents.add(key);
        break;
      case 'members':
        this.#creations.push(again(placed, key, (state) => state?.members !== undefined));
        break;
      case 'fact':
        this.#others.push(again(placed, key, (state) => state?.exists === true));
        break;
      case 'tombstone':
        this.#others.push(again(placed, key, (state) => state?.tombstone === true));
        break;
      case 'erasure':
        break;
    }
  }
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

/** Whoever holds the other branch never receives the entry that it stood in, and would find another one effective. */
function checkpointAgain({ author, signed }: Checkpoint): WriteRequest {
  return { keys: [], draft: () => [draftCheckpoint(author, signed)] };
}

function restore(key: RecordKey, { view, channel }: RecordState): WriteRequest {
  return {
    keys: [key],
    draft: (writer, read) => {
      const now = read(key);
      // What was deleted before the fork reappears without the deletion, and is deleted again.
      const gone = Object.keys(now?.view ?? {}).filter((field) => !Object.hasOwn(view, field));
      const patch = { ...Object.fromEntries(gone.map((field) => [field, undefined])), ...view };
      const isEnded = now?.tombstone === true || now?.erased === true;
      return isEnded ? [] : [draftEdit(writer, key, channel, now, patch)];
    },
  };
}
