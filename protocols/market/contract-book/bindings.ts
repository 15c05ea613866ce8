import { LRUCache } from 'lru-cache';
import { atMost } from '../../lru-bound.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import type { Transition } from '../contract/statement.ts';
import type { FieldHistory } from '../conversation-members.ts';
import { type Binding, bindingOf } from './binding.ts';

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
      past.set(field, await this.#history(key, field));
    const binding = bindingOf(state, statements, past);
    if (binding === undefined) search.isInVain = true;
    return binding;
  }
}
