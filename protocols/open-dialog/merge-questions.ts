import type { RecordKey } from '../wire/ids.ts';
import { mergeChanges } from './merge.ts';
import type { DocumentFloor } from './floor.ts';
import type { Values } from './record.ts';

/** Which document, and what its changes begin at, where that is not the genesis. */
export interface MergeQuestion {
  readonly key: RecordKey;
  readonly floor?: DocumentFloor | undefined;
}

/**
 * What is sent to a merging worker: which document, then its changes in pieces, then a message that this was all. `id` is returned
 * with the answer.
 */
export type MergeRequest =
  | { readonly id: number; readonly question: MergeQuestion }
  | { readonly id: number; readonly changes: readonly Uint8Array[] }
  | { readonly id: number; readonly end: true };

/** First that the worker is there; then to each question its answer. */
export type MergeAnswer =
  | { readonly ready: true }
  | { readonly id: number; readonly merged: Values }
  | { readonly id: number; readonly error: string };

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
      const { key, floor } = asked.question;
      return { id, merged: mergeChanges(key, asked.changes, floor) };
    } catch (error) {
      return { id, error: error instanceof Error ? error.message : String(error) };
    }
  }
}
