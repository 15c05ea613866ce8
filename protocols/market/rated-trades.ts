import { Lazy } from '../lazy.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';
import type { Rating } from './rating.ts';

/** The trade that one rating is of. */
interface RatedTrade {
  readonly contract: string;
  readonly nodes: readonly string[];
}

/** Settled contracts that have been rated, by the nodes of their parties: read at the first question, kept by every commit from then on. */
export class RatedTrades {
  readonly #all: () => AsyncGenerator<RecordState>;
  readonly #read: (state: RecordState) => Pick<Rating, 'contract' | 'from' | 'to' | 'problem'>;
  readonly #byRating = new Map<RecordKey, RatedTrade>();
  /** By node: each contract, with the ratings that are of it. */
  readonly #byNode = new Map<string, Map<string, Set<RecordKey>>>();
  /** Ratings that came or went during the first reading, whose rows may be older. */
  readonly #changed = new Set<RecordKey>();
  readonly #reading = new Lazy(() => this.#readAll());
  #isRead = false;

  constructor(
    all: () => AsyncGenerator<RecordState>,
    read: (state: RecordState) => Pick<Rating, 'contract' | 'from' | 'to' | 'problem'>,
  ) {
    this.#all = all;
    this.#read = read;
  }

  /** Contracts that users of this node have been rated in, or have rated in. */
  async of(node: string): Promise<ReadonlySet<string>> {
    await this.#reading.get();
    return new Set(this.#byNode.get(node)?.keys());
  }

  /** To be told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void {
    if (!this.#reading.isAsked) return;
    for (const { key, after } of changes) {
      if (!key.startsWith('ratings/')) continue;
      if (!this.#isRead) this.#changed.add(key);
      this.#put(after);
    }
  }

  clear(): void {
    this.#reading.clear();
    this.#isRead = false;
    this.#changed.clear();
    this.#byRating.clear();
    this.#byNode.clear();
  }

  async #readAll(): Promise<void> {
    for await (const state of this.#all()) if (!this.#changed.has(state.key)) this.#put(state);
    this.#changed.clear();
    this.#isRead = true;
  }

  #put(state: RecordState): void {
    const { key } = state;
    this.#delete(key);
    if (!isLive(state)) return;
    const { contract, from, to, problem } = this.#read(state);
    if (problem !== null || contract === '') return;
    const nodes = [...new Set([nodeOf(from), nodeOf(to)].filter((node) => node !== undefined))];
    this.#byRating.set(key, { contract, nodes });
    for (const node of nodes) {
      const contracts = this.#byNode.get(node) ?? new Map<string, Set<RecordKey>>();
      this.#byNode.set(node, contracts);
      const ratings = contracts.get(contract) ?? new Set<RecordKey>();
      contracts.set(contract, ratings.add(key));
    }
  }

  #delete(key: RecordKey): void {
    const trade = this.#byRating.get(key);
    if (trade === undefined) return;
    this.#byRating.delete(key);
    for (const node of trade.nodes) {
      const ratings = this.#byNode.get(node)?.get(trade.contract);
      ratings?.delete(key);
      if (ratings?.size === 0) this.#byNode.get(node)?.delete(trade.contract);
    }
  }
}
