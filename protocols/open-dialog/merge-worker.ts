import { parentPort } from 'node:worker_threads';
import * as Automerge from '@automerge/automerge';
import type { RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';
import { genesisOf, SCHEMA_FIELD } from './genesis.ts';
import { judge, type Judgement } from './judge.ts';
import type { Membership, PlacedOp } from './record.ts';
import { COLLECTIONS } from './schema.ts';

/** What the main thread sends; `id` comes back with the answer. */
export interface MergeRequest {
  readonly id: number;
  readonly key: RecordKey;
  readonly ops: readonly PlacedOp[];
  readonly members: Membership | undefined;
}

export type MergeAnswer =
  | {
      readonly id: number;
      readonly judgement: Judgement;
      readonly view: Readonly<Record<string, Scalar>> | undefined;
    }
  | { readonly id: number; readonly error: string };

/** Merges the counting changes in an Automerge document and copies the result own key by own key. */
export function mergedView(
  key: RecordKey,
  changes: readonly Uint8Array[],
): Record<string, Scalar> | undefined {
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  if (collection?.kind !== 'document' || changes.length === 0) return undefined;
  let doc = Automerge.init<Record<string, unknown>>();
  try {
    [doc] = Automerge.applyChanges(doc, [genesisOf(collection).bytes, ...changes]);
    const view = Object.create(null) as Record<string, Scalar>;
    for (const field of Object.keys(doc)) {
      if (field === SCHEMA_FIELD) continue;
      const value = doc[field];
      if (value === null || typeof value === 'number' || typeof value === 'boolean') view[field] = value;
      // The largest safe integers come as bigints, scalar strings as objects of their own class.
      else if (typeof value === 'bigint') view[field] = Number(value);
      else if (typeof value === 'string' || Automerge.isImmutableString(value)) view[field] = String(value);
      else view[field] = JSON.stringify(value);
    }
    return view;
  } finally {
    // wasm memory is not freed by the garbage collector in time.
    Automerge.free(doc);
  }
}

parentPort?.on('message', ({ id, key, ops, members }: MergeRequest) => {
  let answer: MergeAnswer;
  try {
    const judgement = judge(key, ops, members);
    answer = { id, judgement, view: mergedView(key, judgement.changes) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(answer);
});
