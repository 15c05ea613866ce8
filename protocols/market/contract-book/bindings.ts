import { LRUCache } from 'lru-cache';
import { atMost } from '../../lru-bound.ts';
import { compareTimes } from '../../feed/clock.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import type { Transition } from '../contract/statement.ts';
import type { FieldHistory, PastValue } from '../conversation-members.ts';
import { type Binding, bindingOf, NAMES } from './binding.ts';
import { inTurns } from './signed-statements.ts';

/** Contracts whose bindings are kept in memory. */
const KEPT = 16_384;

/**
 * The bindings of contracts. If a document was overwritten, its history is read, once for each change, so nobody can make a contract
 * unfindable.
 */
export class Bindings {
  readonly #history: FieldHistory;
  readonly #found = new LRUCache<RecordKey, Binding>(atMost(KEPT));
  /** Contracts whose history has been searched since their last change: all that is kept is whether nothing was found. */
  readonly #searches = new LRUCache<RecordKey, { isInVain: boolean }>(atMost(KEPT));

  constructor(history: FieldHistory) {
    this.#history = history;
  }

  async of(state: RecordState, statements: readonly Transition[]): Promise<Binding | undefined> {
    const { key } = state;
    const binding =
      this.#found.get(key) ?? bindingOf(state, statements) ?? (await this.#search(state, statements));
    if (binding !== undefined) this.#found.set(key, binding);
    return binding;
  }

  changed(contract: RecordKey): void {
    this.#searches.delete(contract);
  }

  async #search(state: RecordState, statements: readonly Transition[]): Promise<Binding | undefined> {
    const { key } = state;
    const search = this.#searches.get(key) ?? { isInVain: false };
    this.#searches.set(key, search);
    if (search.isInVain) return undefined;
    const past = new Map<string, readonly unknown[]>();
    for (const field of ['listingId', 'buyerId', 'supplierId'])
      past.set(field, await firstValues(this.#history(key, field), NAMES));
    const binding = bindingOf(state, statements, past);
    if (binding === undefined) search.isInVain = true;
    return binding;
  }
}

/**
 * What every node tries first of a field's past values, whatever the order in which it holds them: each author's by what it signed, each value
 * once and so many at the most, the authors in turn.
 */
export async function firstValues(history: AsyncIterable<PastValue>, most: number): Promise<Scalar[]> {
  const authors = new Map<string, Map<Scalar, PastValue>>();
  for await (const past of history) {
    const { author, value } = past;
    const values = authors.get(author) ?? new Map<Scalar, PastValue>();
    const known = values.get(value);
    if (known === undefined || bySigned(past, known) < 0) values.set(value, past);
    authors.set(author, values.size > 2 * most ? firstSigned(values, most) : values);
  }
  const lists = [...authors].sort(([a], [b]) => (a < b ? -1 : 1));
  return inTurns(lists.map(([, values]) => [...firstSigned(values, most).keys()]));
}

function firstSigned(values: ReadonlyMap<Scalar, PastValue>, most: number): Map<Scalar, PastValue> {
  return new Map([...values].sort(([, a], [, b]) => bySigned(a, b)).slice(0, most));
}

function bySigned(a: PastValue, b: PastValue): number {
  return (
    compareTimes(a.time, b.time) ||
    (a.epoch < b.epoch ? -1 : a.epoch > b.epoch ? 1 : a.seq - b.seq || a.index - b.index)
  );
}
