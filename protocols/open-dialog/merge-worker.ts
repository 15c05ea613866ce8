import { parentPort } from 'node:worker_threads';
import type { RecordKey } from '../wire/ids.ts';
import { type FieldOps, mergeChanges, visibleAt } from './merge.ts';
import type { Values } from './record.ts';
import type { Follows } from './rule.ts';

/** Which document, and where a change is to be drafted when one is: then the answer is what that change names. */
export interface MergeQuestion {
  readonly key: RecordKey;
  readonly at?: Follows;
}

/** What the main thread sends: the question, then the changes in pieces, then that it was all. `id` comes back with the answer. */
export type MergeRequest =
  | { readonly id: number; readonly question: MergeQuestion }
  | { readonly id: number; readonly changes: readonly Uint8Array[] }
  | { readonly id: number; readonly end: true };

/** First that the worker is there; then to each question its answer. */
export type MergeAnswer =
  | { readonly ready: true }
  | { readonly id: number; readonly merged: Merged }
  | { readonly id: number; readonly error: string };

/** The values, or what a change names. */
export type Merged = { readonly values: Values } | { readonly fieldOps: FieldOps };

const open = new Map<number, { readonly question: MergeQuestion; readonly changes: Uint8Array[] }>();

function answer(message: MergeAnswer): void {
  parentPort?.postMessage(message);
}

function merge(id: number): void {
  const asked = open.get(id);
  if (asked === undefined) return;
  open.delete(id);
  const {
    question: { key, at },
    changes,
  } = asked;
  const merged =
    at === undefined ? { values: mergeChanges(key, changes) } : { fieldOps: visibleAt(key, changes, at) };
  answer({ id, merged });
}

parentPort?.on('message', (message: MergeRequest) => {
  if ('question' in message) open.set(message.id, { question: message.question, changes: [] });
  else if ('changes' in message) for (const one of message.changes) open.get(message.id)?.changes.push(one);
  else
    try {
      merge(message.id);
    } catch (error) {
      answer({ id: message.id, error: error instanceof Error ? error.message : String(error) });
    }
});
answer({ ready: true });
