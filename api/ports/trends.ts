import type { Snapshot } from '../../protocols/market/trend-snapshot.ts';
import type { SnapshotVerdict } from '../../protocols/market/trend-verify.ts';
import type { TrendQuery, TrendReport } from '../../protocols/market/trends.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';

/** A report on the prices of this node. */
export interface HeldReport extends TrendReport {
  /** The oldest prices, beyond the limit of what is read, and those that cannot be read. */
  readonly leftOut: number;
}

/** The options of a report. */
export type ReportQuery = Omit<TrendQuery, 'until'>;

/** A producer who has been rated, for `/trends/top-rated`. */
export interface RatedProducer {
  /** `user@peer-id`. */
  readonly subject: string;
  /** Whole percent of its publicly rated contracts without a breach. */
  readonly percent: number;
  /** Nodes whose ratings of it are active, in the role in which that is most. */
  readonly counterparties: number;
  /** The region of the producer's node, as far as it is known. */
  readonly region: string;
}

/** A contract from `accepted` on, as far as trends are concerned. */
export interface Transaction {
  readonly contract: RecordKey;
  /** `user@peer-id`, or as the contract names the supplier. */
  readonly supplier: string;
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
  /** When delivery was due; absent when nothing was agreed. */
  readonly dueAt?: number;
  /** Neither settled nor cancelled yet. */
  readonly open: boolean;
  /** Whether this node is the supplier's: it alone counts the transaction for others. */
  readonly ours: boolean;
}

/** The outcome of publishing. */
export interface Published {
  /** The current snapshot: the new one, or the last. */
  readonly id: string | undefined;
  readonly published: boolean;
  /** Why not. */
  readonly reason?: 'no-prices' | 'unchanged' | 'not-due';
}

/** Live listings, counted. */
export interface ListingCounts {
  readonly listings: number;
  readonly byLocation: ReadonlyMap<string, number>;
  /** By day of creation, YYYY-MM-DD. */
  readonly byDay: ReadonlyMap<string, number>;
  /** By region, lower-case. */
  readonly byRegion: ReadonlyMap<string, number>;
}

/** What the routes of trends need besides the records. */
export interface TrendsPort {
  /** The strongest signals alone, at most twenty. Of many prices that have changed since it may be the last report. */
  report(query: ReportQuery): Promise<HeldReport>;
  /** Another text when a price has come or gone. */
  state(): string;
  /** Makes a snapshot again from the prices of now. */
  verify(snapshot: Snapshot): Promise<SnapshotVerdict>;
  /** Producers who have been rated, in any order. */
  rated(): Promise<readonly RatedProducer[]>;
  transactions(): AsyncIterable<Transaction>;
  /** Counts all listings, on another thread. */
  listings(): Promise<ListingCounts>;
  /** Publishes a snapshot now, unless nothing has changed since the last. */
  publish(): Promise<Published>;
}
