import { parentPort } from 'node:worker_threads';
import * as Automerge from '@automerge/automerge';
import type { RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';
import { genesisOf, SCHEMA_FIELD } from './genesis.ts';
import { judge, type Judgement } from './judge.ts';
import type { Membership, PlacedOp, Verdict } from './record.ts';
import { COLLECTIONS } from './schema.ts';

/** What a record is judged with, beside its ops. */
export interface MergeQuestion {
  readonly key: RecordKey;
  readonly members: Membership | undefined;
  /** Whose change is to be drafted on the whole record. */
  readonly actor: string | undefined;
}

/** What the main thread sends: the question, then the ops in pieces, then that it was all. `id` comes back with the answer. */
export type MergeRequest =
  | { readonly id: number; readonly question: MergeQuestion }
  | { readonly id: number; readonly ops: readonly PlacedOp[] }
  | { readonly id: number; readonly end: true };

/** First that the worker is there; then to each question verdicts in pieces, those of ops that do not count, and the state. */
export type MergeAnswer =
  | { readonly ready: true }
  | { readonly id: number; readonly verdicts: readonly (readonly [at: number, Verdict])[] }
  | {
      readonly id: number;
      readonly state: Judgement['state'];
      readonly base: Judgement['base'];
      /** Automerge sees other values than the judge. */
      readonly differs: boolean;
    }
  | { readonly id: number; readonly error: string };

/** Verdicts in one message: what the main thread reads at a time stays small. */
const VERDICTS_PER_MESSAGE = 1000;

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

/** Automerge and the judge must see the same values; a difference is a fault of ours and is told. */
function differs(merged: Readonly<Record<string, Scalar>> | undefined, { state }: Judgement): boolean {
  if (merged === undefined) return false;
  const fields = Object.keys(merged);
  return (
    fields.length !== Object.keys(state.view).length ||
    !fields.every((field) => merged[field] === state.view[field])
  );
}

const open = new Map<number, { readonly question: MergeQuestion; readonly ops: PlacedOp[] }>();

function answer(message: MergeAnswer): void {
  parentPort?.postMessage(message);
}

function judgeOne(id: number): void {
  const asked = open.get(id);
  if (asked === undefined) return;
  open.delete(id);
  const { question, ops } = asked;
  const judgement = judge(question.key, ops, question.members, question.actor);
  const others = judgement.verdicts.flatMap((verdict, at) =>
    verdict.state === 'counts' ? [] : [[at, verdict] as const],
  );
  for (let from = 0; from < others.length; from += VERDICTS_PER_MESSAGE)
    answer({ id, verdicts: others.slice(from, from + VERDICTS_PER_MESSAGE) });
  const { state, base, changes } = judgement;
  answer({ id, state, base, differs: differs(mergedView(question.key, changes), judgement) });
}

parentPort?.on('message', (message: MergeRequest) => {
  if ('question' in message) open.set(message.id, { question: message.question, ops: [] });
  else if ('ops' in message) for (const op of message.ops) open.get(message.id)?.ops.push(op);
  else
    try {
      judgeOne(message.id);
    } catch (error) {
      answer({ id: message.id, error: error instanceof Error ? error.message : String(error) });
    }
});
answer({ ready: true });
