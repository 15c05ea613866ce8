import type { RecordKey } from '../wire/ids.ts';
import { emptyState } from './fast-path.ts';
import type { Membership, PlacedOp, RecordState, Verdict } from './record.ts';
import { noteTimes } from './record-times.ts';
import { collectionOf } from './schema.ts';

/** Gathers what is applied of a record into a state. */
export class StateBuilder {
  readonly #key: RecordKey;
  readonly #ops: readonly PlacedOp[];
  #state: RecordState | undefined;
  #any = false;

  constructor(key: RecordKey, ops: readonly PlacedOp[]) {
    this.#key = key;
    this.#ops = ops;
    const collection = collectionOf(key);
    const first = ops[0];
    if (collection !== undefined && first !== undefined)
      this.#state = emptyState(key, collection, first.channel);
  }

  get members(): Membership | undefined {
    return this.#state?.members;
  }

  apply(placed: PlacedOp, patch: Partial<RecordState>): void {
    const state = this.#state;
    if (state === undefined) return;
    const next = { ...state, ...patch };
    noteTimes(next, !this.#any, placed);
    this.#state = next;
    this.#any = true;
  }

  /** `end`: where the history of its changes stands. */
  finish(verdicts: readonly Verdict[], end: Partial<RecordState>): RecordState {
    const state = this.#state;
    if (state === undefined) throw new TypeError(`no ops to evaluate for ${this.#key}`);
    const pending = verdicts.filter((v) => v.state === 'pending').length;
    return { ...state, pending, ops: this.#ops.length, ...end };
  }
}
