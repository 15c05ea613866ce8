import type { TrendsPort } from '../../api/ports/trends.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Settings } from '../settings.ts';
import { createHeldPrices } from './held-prices.ts';
import { createTrendPublisher, type TrendPublisher } from './trend-publisher.ts';

export interface TrendsParts {
  readonly self: PeerId;
  readonly settings: Pick<Settings, 'region' | 'trendSnapshotHours'>;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly reader: Pick<Reader, 'all' | 'list'>;
  /** Changes whenever a price comes or goes. */
  readonly priceDigest: () => string;
  readonly now: () => number;
  /** Producers whose score is known. */
  readonly scores?: TrendsPort['scores'];
  /** Contracts from `accepted` on. */
  readonly transactions: TrendsPort['transactions'];
  /** Of them those that a public rating tells of: only they are counted in what is published. */
  readonly rated: () => Promise<ReadonlySet<string>>;
}

/** Trends of this node: what the routes need, and what publishes. */
export interface Trends {
  readonly port: TrendsPort;
  readonly publisher: TrendPublisher;
}

export function createTrends(parts: TrendsParts): Trends {
  const { self, settings, ledger, reader, priceDigest, transactions, now } = parts;
  const { region, trendSnapshotHours: hours } = settings;
  const prices = createHeldPrices(reader, priceDigest);
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
    prices,
    transactions: published,
    now,
  });
  return {
    port: {
      prices,
      transactions,
      scores: parts.scores ?? (() => Promise.resolve([])),
      publish: () => publisher.publish(),
    },
    publisher,
  };
}
