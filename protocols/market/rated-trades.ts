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

/** The result of one reading of the ratings, and of every commit since. */
class Trades {
  readonly #byRating = new Map<RecordKey, RatedTrade>();
  /** By node: each contract, with the ratings that are of it. */
  readonly #byNode = new Map<string, Map<string, Set<RecordKey>>>();
  /** Ratings added or removed during the reading, whose rows may be older; undefined once all are read. */
  changed: Set<RecordKey> | undefined = new Set();

  of(node: string): ReadonlySet<string> {
    return new Set(this.#byNode.get(node)?.keys());
  }

  put(key: RecordKey, trade: RatedTrade | undefined): void {
    this.#delete(key);
    if (trade === undefined) return;
    this.#byRating.set(key, trade);
    for (const node of trade.nodes) {
      const contracts = this.#byNode.get(node) ?? new Map<string, Set<RecordKey>>();
      this.#byNode.set(node, contracts);
      const ratings = contracts.get(trade.contract) ?? new Set<RecordKey>();
      contracts.set(trade.contract, ratings.add(key));
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

/** Settled contracts that have been rated, by the nodes of their parties: read at the first question, kept by every commit from then on. */
export class RatedTrades {
  readonly #all: () => AsyncGenerator<RecordState>;
  readonly #read: (state: RecordState) => Pick<Rating, 'contract' | 'from' | 'to' | 'problem'>;
  readonly #pause: () => Promise<void>;
  /** The current or finished reading; replaced after a reading that failed or was of a database that has been reopened. */
  #trades = new Trades();
  readonly #reading = new Lazy(() => this.#readAll());

  constructor(
    all: () => AsyncGenerator<RecordState>,
    read: (state: RecordState) => Pick<Rating, 'contract' | 'from' | 'to' | 'problem'>,
    pause: () => Promise<void>,
  ) {
    this.#all = all;
    this.#read = read;
    this.#pause = pause;
  }

  /** Contracts that users of this node have been rated in, or have rated in. */
  async of(node: string): Promise<ReadonlySet<string>> {
    return (await this.#reading.get()).of(node);
  }

  /** To be called for each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void {
    if (!this.#reading.isAsked) return;
    for (const { key, after } of changes) {
      if (!key.startsWith('ratings/')) continue;
      this.#trades.changed?.add(key);
      this.#trades.put(key, this.#tradeOf(after));
    }
  }

  clear(): void {
    this.#reading.clear();
  }

  async #readAll(): Promise<Trades> {
    const trades = new Trades();
    this.#trades = trades;
    for await (const state of this.#all()) {
      await this.#pause();
      if (trades.changed?.has(state.key) !== true) trades.put(state.key, this.#tradeOf(state));
    }
    trades.changed = undefined;
    return trades;
  }

  #tradeOf(state: RecordState): RatedTrade | undefined {
    if (!isLive(state)) return undefined;
    const { contract, from, to, problem } = this.#read(state);
    if (problem !== null || contract === '') return undefined;
    return { contract, nodes: [...new Set([nodeOf(from), nodeOf(to)].filter((node) => node !== undefined))] };
  }
}
