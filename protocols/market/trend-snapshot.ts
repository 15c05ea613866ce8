import { canonicalJson, type Json } from '../wire/json.ts';
import { sha256Hex } from '../wire/bytes.ts';
import { inputsDigest, type PricePoint, type TrendReport, type TrendSignal, trendsOf } from './trends.ts';
import { isoDay } from '../wire/iso-time.ts';

/**
 * A published trend report: a fact whose body is a pure function of the prices it names, the publisher's region, the day it
 * was published and the counts of transactions. Whoever holds the same prices makes the same bytes.
 */
export interface HeldPrice extends PricePoint {
  /** Whose fact it is. */
  readonly owner: string;
  /** Local id of the price of the same owner that this one corrects. */
  readonly supersedes?: string;
  /** The time its owner signed it with: within an owner's prices the order in which they became known. */
  readonly at: readonly [number, number];
}

/** Transactions of one region; the only thing in a snapshot that others cannot recompute. */
export interface RegionCount {
  readonly region: string;
  readonly count: number;
}

/** Prices of one owner that a snapshot was made from: the first so many in its owner's order, ids digested as in `inputsDigest`. */
export interface OwnerInputs {
  readonly owner: string;
  readonly prices: number;
  readonly digest: string;
}

/** The fields of the fact. */
export interface Snapshot {
  readonly asOf?: string;
  readonly region: string;
  readonly inputs: string;
  readonly body: string;
  readonly publishedAt: number;
}

export const SNAPSHOT_LIMITS = {
  /** Strongest signals of a section. */
  signals: 20,
  /** Owners named one by one; of more, only the whole is digested. */
  owners: 100,
  /** Regions with counts. */
  regions: 100,
  /** Characters of the body, as the collection has it. */
  body: 65_536,
  /** Counts of fewer transactions than this are not published. */
  group: 5,
} as const;

const DAY_MS = 86_400_000;

/** The last day whose prices count on a day: the next, because some are ahead of us. */
export function lastDay(ms: number): string {
  return isoDay(ms + DAY_MS);
}

/**
 * The prices that count: those that no other price of their owner corrects; for a cell that its owner has published, which nothing
 * corrects, the first one published.
 */
export function currentPrices(held: readonly HeldPrice[]): HeldPrice[] {
  const first = firstOfCells(held);
  const corrected = new Set(
    held.flatMap(({ owner, id, supersedes }) =>
      supersedes === undefined || supersedes === id ? [] : [`${owner}/${supersedes}`],
    ),
  );
  return held.filter((price) =>
    price.kind === 'observed'
      ? !corrected.has(`${price.owner}/${price.id}`)
      : first.get(cellOfPrice(price)) === price.id,
  );
}

/** Ids by cell. */
function firstOfCells(held: readonly HeldPrice[]): Map<string, string> {
  const first = new Map<string, HeldPrice>();
  for (const price of held) {
    if (price.kind === 'observed') continue;
    const cell = cellOfPrice(price);
    const known = first.get(cell);
    if (known === undefined || compareByTime(price, known) < 0) first.set(cell, price);
  }
  return new Map([...first].map(([cell, { id }]) => [cell, id]));
}

function cellOfPrice({ owner, kind, date, region, commodity, unit, currency }: HeldPrice): string {
  return JSON.stringify([owner, kind, date, region, commodity, unit, currency]);
}

/** The order in which an owner's prices became known. */
export function compareByTime(a: Pick<HeldPrice, 'at' | 'id'>, b: Pick<HeldPrice, 'at' | 'id'>): number {
  return a.at[0] - b.at[0] || a.at[1] - b.at[1] || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** The snapshot of what is held: equal inputs give equal bytes, whatever their order. */
export function makeSnapshot(
  held: readonly HeldPrice[],
  from: {
    readonly region: string;
    readonly publishedAt: number;
    readonly transactions: readonly RegionCount[];
  },
): Snapshot {
  const { region, publishedAt } = from;
  const until = lastDay(publishedAt);
  const used = held.filter(({ date }) => date <= until);
  const owners = [...byOwner(used)].map(([owner, prices]) => ownerInputs(owner, prices));
  const inputs = sha256Hex(owners.map((o) => `${o.owner} ${o.prices} ${o.digest}\n`).join(''));
  const current = currentPrices(used);
  const everywhere = trendsOf(current, { back: 1 });
  const local = isRegion(region) ? trendsOf(current, { back: 1, region }) : undefined;
  const transactions = publishedCounts(from.transactions);
  for (let signals: number = SNAPSHOT_LIMITS.signals; ; signals--) {
    const body = canonicalJson({
      v: 1,
      generatedBy: 'aiTrendHelper',
      asOf: everywhere.asOf,
      region,
      inputs: {
        digest: inputs,
        prices: used.length,
        owners: owners.length > SNAPSHOT_LIMITS.owners ? [] : owners.map((each) => ({ ...each })),
      },
      global: section(everywhere, signals),
      local: local === undefined ? null : section(local, signals),
      transactions: transactions.map((each) => ({ ...each })),
    });
    if (body.length > SNAPSHOT_LIMITS.body && signals > 0) continue;
    const { asOf } = everywhere;
    return { ...(asOf === null ? {} : { asOf }), region, inputs, body, publishedAt };
  }
}

/** What may be published of counts: no group under five, nor a sum that reveals one. Sorted by region. */
export function publishedCounts(counts: readonly RegionCount[]): RegionCount[] {
  return counts
    .filter(({ count }) => count >= SNAPSHOT_LIMITS.group)
    .toSorted((a, b) => b.count - a.count || (a.region < b.region ? -1 : 1))
    .slice(0, SNAPSHOT_LIMITS.regions)
    .sort((a, b) => (a.region < b.region ? -1 : 1));
}

/** An owner's prices in its own order: what is held of them at any time is a prefix of it, except for gaps. */
export function byOwner(held: readonly HeldPrice[]): Map<string, HeldPrice[]> {
  const owners = Map.groupBy(held, ({ owner }) => owner);
  for (const prices of owners.values()) prices.sort(compareByTime);
  return new Map([...owners].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** How a snapshot names prices of one owner. */
export function ownerInputs(owner: string, prices: readonly HeldPrice[]): OwnerInputs {
  return { owner, prices: prices.length, digest: inputsDigest(prices.map(({ id }) => id)) };
}

function isRegion(region: string): boolean {
  return !['', 'global', 'unspecified'].includes(region.trim().toLowerCase());
}

/** Numbers alone: a sentence in signed bytes would have to be worded alike by every implementation, permanently. */
function section({ signals, asOf, prices, inputs }: TrendReport, most: number): Json {
  return {
    asOf,
    prices,
    inputs,
    found: signals.length,
    signals: signals.slice(0, most).map((signal) => signalJson(signal)),
  };
}

function signalJson({ from, to, ...rest }: TrendSignal): Json {
  return { ...rest, from: { ...from }, to: { ...to } };
}
