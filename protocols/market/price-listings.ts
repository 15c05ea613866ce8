import { createHash } from 'node:crypto';
import type { Observation } from './wfp.ts';

/** The fields of a `listings` record made from a price, its local id among them. */
export interface PriceListing {
  /** The same for the same (market, commodity, unit, price type), on every node and in every run. */
  id: string;
  type: 'offer';
  title: string;
  commodity: string;
  category?: string;
  unit: string;
  price: number;
  currency: string;
  region: string;
  location?: string;
  market: string;
  /** Degrees with five decimals. */
  geoLat_?: string;
  geoLong_?: string;
  priceType: string;
  /** YYYY-MM-DD. */
  priceDate: string;
  source: string;
}

/** The region of prices that name none. */
export const NO_REGION = 'unspecified';

/** The newest price of one listing, with whatever the caller carries along (its line number, say). */
export interface Newest<T> {
  price: Observation;
  extra: T;
}

/** What a market offers at this price. The quantity on offer is not known from a price, so it is left out. */
export function listingOf(price: Observation): PriceListing {
  return {
    id: listingId(price),
    type: 'offer',
    title: `${price.commodity}, ${price.unit}, ${price.priceType}`,
    commodity: price.commodity,
    ...(price.category === undefined ? {} : { category: price.category }),
    unit: price.unit,
    price: price.price,
    currency: price.currency,
    region: price.admin1 ?? NO_REGION,
    ...(price.admin2 === undefined ? {} : { location: price.admin2 }),
    market: price.market,
    ...(price.latitude === undefined || price.longitude === undefined
      ? {}
      : { geoLat_: price.latitude.toFixed(5), geoLong_: price.longitude.toFixed(5) }),
    priceType: price.priceType,
    priceDate: price.date,
    source: price.source,
  };
}

/** Collects the newest price of each (market, commodity, unit, price type); its size is that of the result. */
export class NewestPrices<T> {
  readonly #newest = new Map<string, Newest<T>>();

  add(price: Observation, extra: T): void {
    const id = listingId(price);
    const held = this.#newest.get(id);
    if (held === undefined || isNewer(price, held.price)) this.#newest.set(id, { price, extra });
  }

  get size(): number {
    return this.#newest.size;
  }

  /** The listings in the order of their ids, so that two runs over shuffled rows write the same feed. */
  *listings(): Generator<{ listing: PriceListing; extra: T }> {
    for (const [, { price, extra }] of [...this.#newest].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
      yield { listing: listingOf(price), extra };
    }
  }
}

/** The listing of the newest price of each (market, commodity, unit, price type), whatever order the prices come in. */
export function newestListings(prices: Iterable<Observation>): PriceListing[] {
  const newest = new NewestPrices<undefined>();
  for (const price of prices) newest.add(price, undefined);
  return [...newest.listings()].map(({ listing }) => listing);
}

function listingId(price: Observation): string {
  const four = JSON.stringify([price.market, price.commodity, price.unit, price.priceType]);
  return createHash('sha256').update(four).digest('base64url').slice(0, 22);
}

function isNewer(price: Observation, held: Observation): boolean {
  if (price.date !== held.date) return price.date > held.date;
  // Two prices for one day: any rule will do that does not look at the order of the rows.
  return canonical(price) > canonical(held);
}

function canonical(price: Observation): string {
  return JSON.stringify(Object.entries(price).sort(([a], [b]) => (a < b ? -1 : 1)));
}
