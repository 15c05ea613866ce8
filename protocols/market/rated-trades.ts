import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';
import type { Rating } from './rating.ts';

/** Settled trades that a public rating tells of, by the nodes of those who traded. */
export interface RatedTrades {
  /** Contracts that users of this node have been rated in, or have rated in. */
  of(node: string): Promise<ReadonlySet<string>>;
  /** Told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void;
  /** Forgets what it has read. */
  forget(): void;
}

/** The trade that a rating tells of: one entry for each of its nodes. */
interface Told {
  readonly contract: string;
  readonly nodes: readonly string[];
}

/** Read once, at the first question, and kept by every commit from then on. */
export function createRatedTrades(parts: {
  readonly all: () => AsyncGenerator<RecordState>;
  readonly read: (state: RecordState) => Pick<Rating, 'contract' | 'from' | 'to' | 'problem'>;
}): RatedTrades {
  const told = new Map<RecordKey, Told>();
  /** By node: each contract, with the ratings that tell of it. */
  const trades = new Map<string, Map<string, Set<RecordKey>>>();
  /** What commits have told: newer than what is being read. */
  const noted = new Set<RecordKey>();
  let reading: Promise<void> | undefined;
  let isRead = false;

  function drop(key: RecordKey): void {
    const known = told.get(key);
    if (known === undefined) return;
    told.delete(key);
    for (const node of known.nodes) {
      const ratings = trades.get(node)?.get(known.contract);
      ratings?.delete(key);
      if (ratings?.size === 0) trades.get(node)?.delete(known.contract);
    }
  }
  function take(state: RecordState): void {
    const { key } = state;
    drop(key);
    if (!isLive(state)) return;
    const { contract, from, to, problem } = parts.read(state);
    if (problem !== null || contract === '') return;
    const nodes = [...new Set([nodeOf(from), nodeOf(to)].filter((node) => node !== undefined))];
    told.set(key, { contract, nodes });
    for (const node of nodes) {
      const contracts = trades.get(node) ?? new Map<string, Set<RecordKey>>();
      trades.set(node, contracts);
      const ratings = contracts.get(contract) ?? new Set<RecordKey>();
      contracts.set(contract, ratings.add(key));
    }
  }
  async function readAll(): Promise<void> {
    for await (const state of parts.all()) if (!noted.has(state.key)) take(state);
    noted.clear();
    isRead = true;
  }

  return {
    async of(node) {
      reading ??= readAll();
      const mine = reading;
      mine.catch(() => {
        if (reading === mine) reading = undefined;
      });
      await mine;
      return new Set(trades.get(node)?.keys());
    },
    note(changes) {
      if (reading === undefined) return;
      for (const { key, after } of changes) {
        if (!key.startsWith('ratings/')) continue;
        if (!isRead) noted.add(key);
        take(after);
      }
    },
    forget() {
      reading = undefined;
      isRead = false;
      noted.clear();
      told.clear();
      trades.clear();
    },
  };
}
