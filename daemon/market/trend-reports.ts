import { LRUCache } from 'lru-cache';
import type { HeldReport, ReportQuery } from '../../api/ports/trends.ts';
import { lastDay } from '../../protocols/market/trend-snapshot.ts';
import type { PriceThread } from './price-thread.ts';

/** Prices from which on a report is cached for longer: fewer are counted while the caller waits. */
export const MANY = 50_000;
/** Counting many again takes at most a twentieth of the time: what took long is good for so much longer. */
const REST = 20;
/** Reports kept between requests, and those of them that a restart finds again. */
const KEPT = 64;
const STORED = 8;

/** A report, and the prices it is of. */
export interface KeptReport {
  readonly report: HeldReport;
  readonly state: string;
  /** The last day that counted. */
  readonly until: string;
  /** The newest day of all prices. */
  readonly newest?: string | undefined;
}
export type StoredReports = readonly (readonly [query: string, kept: KeptReport])[];

export interface TrendReportsParts {
  readonly thread: Pick<PriceThread, 'ask'>;
  /** The prices of now: their number, and a text that is another when one has come or gone. */
  readonly prices: () => { readonly state: string; readonly count: number };
  readonly now: () => number;
  readonly monotonic: () => number;
  /** A report in the background could not be computed. */
  readonly onFailure: (error: unknown) => void;
  /** What is kept across a restart. Reading returns nothing when there is none; neither throws. */
  readonly stored: { read(): Promise<StoredReports>; write(reports: StoredReports): Promise<void> };
}

/**
 * Reports from what the node holds. The same prices give the same one: it is computed again only when a price was added or removed,
 * and for many prices in the background; the answer says by `prices` and `inputs` what it is based on.
 */
export class TrendReports {
  readonly #parts: TrendReportsParts;
  readonly #kept = new LRUCache<string, KeptReport>({ max: KEPT });
  readonly #making = new Map<string, Promise<HeldReport>>();
  /** When the reports of many prices may be computed again, by the monotonic clock. */
  #due = -Infinity;
  #loaded: Promise<void> | undefined;

  constructor(parts: TrendReportsParts) {
    this.#parts = parts;
  }

  async report(query: ReportQuery): Promise<HeldReport> {
    await (this.#loaded ??= this.#load());
    const { prices, now, monotonic, onFailure } = this.#parts;
    const name = JSON.stringify([query.region, query.commodity, query.back, query.per]);
    const { state, count } = prices();
    const until = lastDay(now());
    const kept = this.#kept.get(name);
    if (kept?.state === state && isOfDay(kept, until)) return kept.report;
    if (kept === undefined || count <= MANY) return this.#make(name, query, until);
    // Whoever asks does not wait; when it fails, the next one tries again.
    if (monotonic() >= this.#due) this.#make(name, query, until).catch(onFailure);
    return kept.report;
  }

  #make(name: string, query: ReportQuery, until: string): Promise<HeldReport> {
    const known = this.#making.get(name);
    if (known !== undefined) return known;
    const making = this.#ask(name, query, until).finally(() => this.#making.delete(name));
    this.#making.set(name, making);
    return making;
  }

  async #ask(name: string, query: ReportQuery, until: string): Promise<HeldReport> {
    const { thread, monotonic, stored } = this.#parts;
    const started = monotonic();
    const rest = (): void => void (this.#due = monotonic() + (monotonic() - started) * REST);
    const { answer, held } = await thread
      .ask({ ask: 'report', query: { ...query, until } })
      .catch((error: unknown) => {
        rest(); // what fails takes its twentieth, too
        throw error;
      });
    const report = { ...answer, leftOut: held.leftOut };
    this.#kept.set(name, { report, state: held.state, until, newest: held.newest });
    if (held.prices > MANY) {
      rest();
      await stored.write([...this.#kept.entries()].slice(0, STORED));
    }
    return report;
  }

  async #load(): Promise<void> {
    for (const [name, kept] of (await this.#parts.stored.read()).toReversed()) this.#kept.set(name, kept);
  }
}

/** Days pass, and the report of the same prices is the same as long as none of them is dated ahead. */
function isOfDay({ until: then, newest = '' }: KeptReport, until: string): boolean {
  return then === until || (newest <= then && newest <= until);
}
