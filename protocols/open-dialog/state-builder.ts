import type { Channel, RecordKey } from '../wire/ids.ts';
import { emptyState } from './fast-path.ts';
import type { Floor } from './floor.ts';
import type { Membership, PlacedOp, RecordState } from './record.ts';
import { limitTimes, noteTimes } from './record-times.ts';
import { collectionOf } from './schema.ts';

/** Gathers the applied ops of a record into a state. */
export class StateBuilder {
  readonly #key: RecordKey;
  readonly #state: { -readonly [K in keyof RecordState]: RecordState[K] } | undefined;
  #any = false;

  constructor(key: RecordKey, channel: Channel) {
    this.#key = key;
    const collection = collectionOf(key);
    if (collection !== undefined) this.#state = { ...emptyState(key, collection, channel) };
  }

  get members(): Membership | undefined {
    return this.#state?.members;
  }

  apply(placed: PlacedOp, patch: Partial<RecordState>): void {
    const state = this.#state;
    if (state === undefined) return;
    Object.assign(state, patch);
    noteTimes(state, !this.#any, placed);
    this.#any = true;
  }

  /** What is applied below a floor. */
  begin({ created, updated, arrived = 0 }: Floor, patch: Partial<RecordState>): void {
    const state = this.#state;
    if (state === undefined) return;
    Object.assign(state, patch, { created, updated });
    limitTimes(state, arrived);
    this.#any = true;
  }

  /** `end`: the end of the history of its changes. */
  finish(ops: number, pending: number, end: Partial<RecordState>): RecordState {
    const state = this.#state;
    if (state === undefined) throw new TypeError(`no ops to evaluate for ${this.#key}`);
    return { ...state, pending, ops, ...end };
  }
}
