import { emptyState } from '../open-dialog/fast-path.ts';
import { type Membership, type OpenState, openState, type RecordState } from '../open-dialog/record.ts';
import { type Collection, collectionOf } from '../open-dialog/schema.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { LedgerStore, RecordChange } from './ports.ts';
import type { Turn } from './turn.ts';

/** The records that one commit reads and changes. */
export class CommitRecords {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #before = new Map<RecordKey, RecordState | undefined>();
  /** Records that are changed in place; only those of `#changed` are written. */
  readonly #now = new Map<RecordKey, OpenState>();
  readonly #changed = new Set<RecordKey>();

  constructor(store: LedgerStore, turn: Turn) {
    this.#store = store;
    this.#turn = turn;
  }

  /** Reads the records of these keys, each once. */
  async load(keys: Iterable<RecordKey>): Promise<void> {
    const missing = [...new Set(keys)].filter((key) => !this.#before.has(key));
    if (missing.length === 0) return;
    const states = await this.#store.records(missing, this.#turn);
    missing.forEach((key, i) => this.#before.set(key, states[i]));
  }

  /** A loaded record in its state within this commit. */
  state(key: RecordKey): RecordState | undefined {
    return this.#now.get(key) ?? this.#before.get(key);
  }

  /** A loaded record in its state before this commit. */
  before(key: RecordKey): RecordState | undefined {
    return this.#before.get(key);
  }

  /** Members of the record to whose channel an op belongs; loaded before. */
  members(placed: { readonly channel: Channel }): Membership | undefined {
    return placed.channel === 'public' ? undefined : this.state(placed.channel)?.members;
  }

  /** The record to change in place, which alone does not write it. */
  open(key: RecordKey, collection: Collection, channel: Channel): OpenState {
    const known = this.#now.get(key);
    if (known !== undefined) return known;
    const open = openState(this.#before.get(key) ?? emptyState(key, collection, channel));
    this.#now.set(key, open);
    return open;
  }

  /** The same, to be written with the commit. */
  change(key: RecordKey, collection: Collection, channel: Channel): OpenState {
    this.#changed.add(key);
    return this.open(key, collection, channel);
  }

  set(key: RecordKey, state: RecordState): void {
    this.#now.set(key, openState(state));
    this.#changed.add(key);
  }

  /** Nothing of the record has effect any more: the next op finds it as if it had never been. Returns it as it was. */
  empty(key: RecordKey): RecordState | undefined {
    const before = this.state(key);
    const collection = collectionOf(key);
    if (before === undefined || collection === undefined) return undefined;
    this.set(key, emptyState(key, collection, before.channel));
    return before;
  }

  /** The records that this commit changes. */
  changes(): RecordChange[] {
    return [...this.#changed].flatMap((key) => {
      const after = this.#now.get(key);
      return after === undefined ? [] : [{ key, before: this.#before.get(key), after: closed(after) }];
    });
  }
}

/** A state as it is stored: without what one draft needed, and without actors that were only met. */
function closed(state: OpenState): RecordState {
  delete state.base;
  for (const [actor, [seq]] of Object.entries(state.seqs)) if (seq === 0) delete state.seqs[actor];
  return state;
}

/** Whether a record that begins at another floor than before shows what it has shown: then nobody has to be told of it. */
export function isRestated({ before, after }: RecordChange): boolean {
  return before !== undefined && isSame(shownOf(before), shownOf(after));
}

/** All of a state but what tells how its history goes on. */
function shownOf(state: RecordState): object {
  const { channel, created, updated, listed, tombstone, erased, heads, rest } = state;
  // Of one that has ended a floor keeps nothing else.
  if (tombstone) return { channel, created, updated, listed, tombstone, erased };
  const others = { seqs: undefined, ops: undefined, floored: undefined, rest: undefined };
  return { ...state, ...others, heads: [heads, rest?.heads], more: rest?.values };
}

/** Equal as JSON, whatever the order of fields and whichever their prototype. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [left, right] = [fieldsOf(a), fieldsOf(b)];
  return left.length === right.length && left.every(([name, value]) => isSame(value, at(b, name)));
}

const fieldsOf = (value: object): [string, unknown][] =>
  Object.entries(value).filter(([, field]) => field !== undefined);

const at = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
