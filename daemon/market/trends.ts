import type { TrendsPort } from '../../api/ports/trends.ts';
import type { Env } from '../../protocols/env.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { packedRows } from '../../storage/packed-rows.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Settings } from '../settings.ts';
import { PriceThread, type StartPriceWorker } from './price-thread.ts';
import { storedReports } from './stored-reports.ts';
import { createTrendPublisher, type TrendPublisher } from './trend-publisher.ts';
import { TrendReports } from './trend-reports.ts';

export interface TrendsParts {
  readonly self: PeerId;
  readonly settings: Pick<Settings, 'region' | 'trendSnapshotHours'>;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly db: Pick<Database, 'level' | 'batch'>;
  readonly reader: Pick<Reader, 'readable' | 'list'>;
  readonly env: Pick<Env, 'after' | 'monotonic'>;
  readonly startPriceWorker: StartPriceWorker;
  /** All prices by their digest, which changes whenever one comes or goes, and how many they are. */
  readonly prices: () => { readonly digest: string; readonly count: number };
  readonly now: () => number;
  /** Producers who have been rated. */
  readonly producers?: TrendsPort['rated'];
  /** Contracts from `accepted` on. */
  readonly transactions: TrendsPort['transactions'];
  /** Those of them with a public rating: only they are counted in what is published. */
  readonly rated: () => Promise<ReadonlySet<string>>;
  readonly alarm: (alarm: { readonly kind: 'trends-failed' }) => void;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Trends of this node: what the routes need, and what publishes. */
export interface Trends {
  readonly port: TrendsPort;
  readonly publisher: TrendPublisher;
  stop(): Promise<void>;
}

export function createTrends(parts: TrendsParts): Trends {
  const { self, settings, ledger, db, reader, env, transactions, now, warn } = parts;
  const { region, trendSnapshotHours: hours } = settings;
  const state = (): string => sha256Hex(parts.prices().digest);
  const thread = new PriceThread({
    start: parts.startPriceWorker,
    env,
    rows: () => packedRows(db, 'prices'),
    listings: () => packedRows(db, 'listings'),
    state,
    // Their readers find and report the damage.
    onDamaged: (keys) => reader.readable(keys),
    onLost: (error) => {
      warn('the price thread ended; the next request starts another', { err: error });
      parts.alarm({ kind: 'trends-failed' });
    },
  });
  const reports = new TrendReports({
    thread,
    prices: () => ({ state: state(), count: parts.prices().count }),
    now,
    monotonic: env.monotonic,
    onFailure: (error) =>
      warn('a report on trends could not be renewed; the last one is shown', { err: error }),
    stored: storedReports(db, (error) => warn('reports of trends could not be stored', { err: error })),
  });
  async function* published(): ReturnType<TrendsPort['transactions']> {
    const rated = await parts.rated();
    for await (const each of transactions()) if (rated.has(each.contract)) yield each;
  }
  const publisher = createTrendPublisher({
    self,
    region,
    hours,
    ledger,
    reader,
    snapshot: async (from) => (await thread.ask({ ask: 'snapshot', from })).answer,
    transactions: published,
    now,
  });
  return {
    port: {
      report: (query) => reports.report(query),
      state,
      verify: async (snapshot) => (await thread.ask({ ask: 'verify', snapshot })).answer,
      transactions,
      listings: () => thread.listings(),
      rated: parts.producers ?? (() => Promise.resolve([])),
      publish: () => publisher.publish(),
    },
    publisher,
    stop: () => thread.stop(),
  };
}
