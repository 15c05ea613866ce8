import { makeSnapshot, type Snapshot } from '../../protocols/market/trend-snapshot.ts';
import { type SnapshotVerdict, verifySnapshot } from '../../protocols/market/trend-verify.ts';
import { PriceTable } from '../../protocols/market/price-table.ts';
import type { TrendQuery, TrendReport } from '../../protocols/market/trends.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { innerKey } from '../../storage/keyspace.ts';
import { unpackedRows } from '../../storage/packed-rows.ts';
import { decodeRecord } from '../../storage/record-rows.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { ListingCounts } from '../../api/ports/trends.ts';
import { heldPrice } from './held-price.ts';
import { ListingCounter } from './listing-counter.ts';

/** The inputs of a snapshot besides the prices. */
type SnapshotFrom = Parameters<typeof makeSnapshot>[1];

/** Requests to a worker: first the prices, then their trends; and listings, which are counted and not kept. */
export type PriceQuestion =
  | { readonly ask: 'take'; readonly rows: Uint8Array }
  | { readonly ask: 'taken' }
  | { readonly ask: 'report'; readonly query: TrendQuery }
  | { readonly ask: 'snapshot'; readonly from: SnapshotFrom }
  | { readonly ask: 'verify'; readonly snapshot: Snapshot }
  | { readonly ask: 'count'; readonly rows: Uint8Array }
  | { readonly ask: 'counted' };

/** The answer to each. */
export interface PriceAnswers {
  /** Keys of rows that are damaged. */
  readonly take: readonly RecordKey[];
  readonly taken: {
    readonly prices: number;
    readonly leftOut: number;
    /** The newest day of all prices; absent without any. */
    readonly newest?: string | undefined;
  };
  readonly report: TrendReport;
  /** Undefined without prices. */
  readonly snapshot: Snapshot | undefined;
  readonly verify: SnapshotVerdict;
  /** Keys of rows that are damaged. */
  readonly count: readonly RecordKey[];
  readonly counted: ListingCounts;
}

export interface PriceBounds {
  /** Prices held, the newest by date: of more, the oldest are left out. */
  readonly prices: number;
  /** Of them those that a snapshot is made from. */
  readonly snapshot: number;
}

/** A price takes 76 bytes in the table, and 200 while a snapshot is made. */
export const PRICE_BOUNDS: PriceBounds = { prices: 1_500_000, snapshot: 250_000 };

/** Signals of a report that are returned, the strongest: nobody shows more. */
const REPORTED = 20;

/** Answers questions about prices, on whichever thread. */
export class PriceQuestions {
  readonly #bounds: PriceBounds;
  #table = new PriceTable();
  #leftOut = 0;
  #listings = new ListingCounter();

  constructor(bounds: PriceBounds = PRICE_BOUNDS) {
    this.#bounds = bounds;
  }

  answer(question: PriceQuestion): PriceAnswers[PriceQuestion['ask']] {
    switch (question.ask) {
      case 'take':
        return this.#take(question.rows);
      case 'taken':
        return this.#taken();
      case 'report': {
        const report = this.#table.report(question.query);
        return { ...report, signals: report.signals.slice(0, REPORTED) };
      }
      case 'snapshot':
        return this.#table.size === 0 ? undefined : makeSnapshot(this.#ofSnapshot(), question.from);
      case 'verify':
        return verifySnapshot(question.snapshot, this.#ofSnapshot());
      case 'count':
        return liveOf(question.rows, (state) => this.#listings.add(state));
      case 'counted': {
        const counts = this.#listings.counts();
        this.#listings = new ListingCounter();
        return counts;
      }
    }
  }

  #take(rows: Uint8Array): RecordKey[] {
    const damaged = liveOf(rows, (state) => {
      const price = heldPrice(state);
      if (price !== undefined) this.#table.add(price);
    });
    this.#leftOut += damaged.length;
    if (this.#table.size > this.#bounds.prices * 1.25) this.#cut();
    return damaged;
  }

  #taken(): PriceAnswers['taken'] {
    this.#cut();
    return { prices: this.#table.size, leftOut: this.#leftOut, newest: this.#table.newest };
  }

  #cut(): void {
    if (this.#table.size <= this.#bounds.prices) return;
    const kept = new PriceTable();
    for (const price of this.#table.prices(this.#table.newestRows(this.#bounds.prices))) kept.add(price);
    this.#leftOut += this.#table.size - kept.size;
    this.#table = kept;
  }

  #ofSnapshot() {
    const { snapshot: most } = this.#bounds;
    return [...this.#table.prices(this.#table.size > most ? this.#table.newestRows(most) : undefined)];
  }
}

/** Gives each live record of packed rows to `use`; the keys of rows that are damaged. */
function liveOf(rows: Uint8Array, use: (state: RecordState) => void): RecordKey[] {
  const damaged: RecordKey[] = [];
  for (const [full, value] of unpackedRows(rows)) {
    const state = decodeRecord(innerKey(full) as RecordKey, value, ({ key }) => damaged.push(key));
    if (isLive(state)) use(state);
  }
  return damaged;
}
