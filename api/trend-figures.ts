import { nodeOf } from '../protocols/market/party.ts';
import { isLive } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { RecordReader } from './context.ts';
import type { ListingCounts, RatedProducer, TrendsPort } from './ports/trends.ts';

/** The figures of the old trend routes. */
export interface TrendFigures extends ListingCounts {
  readonly sellers: readonly SellerPings[];
  /** Transactions whose delivery date has passed and that nobody has settled. */
  readonly delayed: number;
}

/**
 * A seller's mean days between signs of life: from the acceptance of a contract to the seller's first ping, and from each ping to
 * the next, over all its transactions.
 */
export interface SellerPings {
  readonly sellerId: string;
  readonly avgDays: number;
  readonly transactions: number;
}

/** Transactions whose pings are followed. */
const FOLLOWED = 100_000;
const DAY_MS = 86_400_000;
/** Counting again takes at most a twentieth of the time: what took long is good for so much longer, milliseconds. */
const REST = 20;
/** A count that took less than this is not cached: nobody notices the wait. */
const QUICK_MS = 50;

type Port = Pick<TrendsPort, 'transactions' | 'listings'>;

/** Counts what is held, once for all callers until the next write. */
export function createTrendFigures(
  { self, reader, trends }: { readonly self: PeerId; readonly reader: Figured; readonly trends: Port },
  now: () => number,
): () => Promise<TrendFigures> {
  let kept: { version: number; until: number; made: Promise<TrendFigures> } | undefined;
  return () => {
    const version = reader.version();
    const start = now();
    if (kept !== undefined && (kept.version === version || start < kept.until)) return kept.made;
    const counting = { version, until: Infinity, made: count(self, reader, trends, start) };
    kept = counting;
    counting.made.then(
      () => {
        const took = now() - start;
        counting.until = took < QUICK_MS ? 0 : now() + took * REST;
      },
      () => {
        if (kept === counting) kept = undefined;
      },
    );
    return counting.made;
  };
}

type Figured = Pick<RecordReader, 'all' | 'version'>;

async function count(self: PeerId, reader: Figured, trends: Port, now: number): Promise<TrendFigures> {
  const counts = await trends.listings();
  return { ...counts, ...(await pings(self, reader, trends, now)) };
}

async function pings(
  self: PeerId,
  reader: Figured,
  trends: Port,
  now: number,
): Promise<Pick<TrendFigures, 'sellers' | 'delayed'>> {
  const full = (party: string): string =>
    party === '' || nodeOf(party) !== undefined ? party : `${party}@${self}`;
  const followed = new Map<string, { seller: string; from: number; last: number; pings: number }>();
  let delayed = 0;
  for await (const { contract, supplier, acceptedAt, dueAt, open } of trends.transactions()) {
    if (open && dueAt !== undefined && dueAt < now) delayed++;
    if (supplier !== '' && followed.size < FOLLOWED)
      followed.set(contract, { seller: full(supplier), from: acceptedAt, last: acceptedAt, pings: 0 });
  }
  if (followed.size > 0)
    for await (const state of reader.all('pings', () => undefined)) {
      const contract = isLive(state) ? followed.get(state.channel) : undefined;
      const [at] = state.created;
      if (contract === undefined || full(String(state.view['from'])) !== contract.seller) continue;
      if (at < contract.from) continue;
      contract.last = Math.max(contract.last, at);
      contract.pings++;
    }
  const bySeller = Map.groupBy(
    [...followed.values()].filter((each) => each.pings > 0),
    ({ seller }) => seller,
  );
  const sellers = [...bySeller].map(([sellerId, contracts]) => {
    const time = contracts.reduce((sum, { from, last }) => sum + last - from, 0);
    const signs = contracts.reduce((sum, each) => sum + each.pings, 0);
    return { sellerId, avgDays: round(time / DAY_MS / signs), transactions: contracts.length };
  });
  sellers.sort((a, b) => a.avgDays - b.avgDays || (a.sellerId < b.sellerId ? -1 : 1));
  return { sellers, delayed };
}

/** Two decimals. */
function round(value: number): number {
  return Number(value.toFixed(2));
}

/** Producers, those without a breach and with the most counterparties first; of one region when it is given. */
export function topRated(
  producers: readonly RatedProducer[],
  limit: number,
  region: string | undefined,
): RatedProducer[] {
  const place = region?.trim().toLowerCase();
  return producers
    .filter((each) => place === undefined || place === 'global' || each.region.toLowerCase() === place)
    .toSorted(
      (a, b) =>
        b.percent - a.percent || b.counterparties - a.counterparties || (a.subject < b.subject ? -1 : 1),
    )
    .slice(0, limit);
}

const BUSY = 100;
const QUIET = 10;

/**
 * What the old back end called AI: sentences by rule. `all` includes transactions, which only their parties and the operator may
 * see.
 */
export function insights(
  figures: TrendFigures,
  top: readonly RatedProducer[],
  region: string | undefined,
  all: boolean,
): string[] {
  const place = region?.trim().toLowerCase();
  const here = place === undefined || place === '' || place === 'global';
  const volume = here ? figures.listings : (figures.byRegion.get(place) ?? 0);
  const where = here ? 'all regions' : region?.trim();
  const sentences: string[] = [];
  if (volume > BUSY) sentences.push(`High market activity: ${volume} listings in ${where}.`);
  if (volume < QUIET) sentences.push(`Low market activity: only ${volume} listings in ${where}.`);
  if (top.length > 0)
    sentences.push(
      `Top rated producers: ${top.map(({ subject, percent }) => `${subject} (${percent} % without breach)`).join(', ')}.`,
    );
  if (all && figures.delayed > 0)
    sentences.push(
      figures.delayed === 1
        ? '1 transaction is delayed: its day of delivery is over.'
        : `${figures.delayed} transactions are delayed: their day of delivery is over.`,
    );
  return sentences;
}
