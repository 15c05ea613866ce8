import type { RecordKey } from '../wire/ids.ts';
import { type FieldOps, mergeChanges, visibleAt } from './merge.ts';
import type { DocumentFloor } from './floor.ts';
import type { Values } from './record.ts';
import type { Follows } from './history-types.ts';

/** Which document, and where a change is to be drafted when one is: then the answer is what that change names. */
export interface MergeQuestion {
  readonly key: RecordKey;
  readonly floor?: DocumentFloor | undefined;
  readonly at?: Follows;
}

/**
 * What is sent to a merging worker: the question, then the changes in pieces, then a message that this was all. `id` is returned
 * with the answer.
 */
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

/** What a merging worker does, on whichever thread: it gathers what it receives, and merges when that is complete. */
export class MergeQuestions {
  readonly #open = new Map<number, { readonly question: MergeQuestion; readonly changes: Uint8Array[] }>();

  /** The answer, when the request was the last one of its question. */
  take(request: MergeRequest): MergeAnswer | undefined {
    if ('question' in request) this.#open.set(request.id, { question: request.question, changes: [] });
    else if ('changes' in request)
      for (const change of request.changes) this.#open.get(request.id)?.changes.push(change);
    else return this.#answer(request.id);
    return undefined;
  }

  #answer(id: number): MergeAnswer | undefined {
    const asked = this.#open.get(id);
    if (asked === undefined) return undefined;
    this.#open.delete(id);
    try {
      return { id, merged: merged(asked.question, asked.changes) };
    } catch (error) {
      return { id, error: error instanceof Error ? error.message : String(error) };
    }
  }
}

function merged({ key, at, floor }: MergeQuestion, changes: readonly Uint8Array[]): Merged {
  return at === undefined
    ? { values: mergeChanges(key, changes, floor) }
    : { fieldOps: visibleAt(key, changes, at, floor) };
}
