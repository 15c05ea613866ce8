import { createHash } from 'node:crypto';
import type { Observation } from './wfp.ts';

/** The fields of a `listings` record made from a price, its local id among them. */
export interface PriceListing {
  /** The same for the same series of prices (`seriesOf`), on every node and in every run. */
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
  /** The user of this node whose offer it is. */
  userId: string;
}

/** The region of prices that name none. */
export const NO_REGION = 'unspecified';

/** The newest price of one listing, with whatever the caller carries along (its line number, say). */
export interface Newest<T> {
  price: Observation;
  extra: T;
}

/**
 * A seller's offer at an observed market price. A price by itself is nobody's offer: this is for a seller who makes it their own. A
 * price has no quantity, so that is left out.
 */
export function listingOf(price: Observation, seller: string): PriceListing {
  return {
    id: listingId(price, seller),
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
    userId: seller,
  };
}

/** Collects the newest price of each series (`seriesOf`); its size is that of the result. */
export class NewestPrices<T> {
  readonly #newest = new Map<string, Newest<T>>();

  add(price: Observation, extra: T): void {
    const series = JSON.stringify(seriesOf(price));
    const held = this.#newest.get(series);
    if (held === undefined || isNewer(price, held.price)) this.#newest.set(series, { price, extra });
  }

  get size(): number {
    return this.#newest.size;
  }

  /** The listings in the order of their ids, so that two runs over shuffled rows write the same feed. */
  listings(seller: string): { listing: PriceListing; extra: T }[] {
    return [...this.#newest.values()]
      .map(({ price, extra }) => ({ listing: listingOf(price, seller), extra }))
      .sort((a, b) => (a.listing.id < b.listing.id ? -1 : 1));
  }
}

/** The listing of the newest price of each series, whatever order the prices come in. */
export function newestListings(prices: Iterable<Observation>, seller: string): PriceListing[] {
  const newest = new NewestPrices<undefined>();
  for (const price of prices) newest.add(price, undefined);
  return newest.listings(seller).map(({ listing }) => listing);
}

/**
 * What distinguishes one series of prices from another: two prices belong to one listing if and only if all of these are equal. A
 * name counts as written in its file, capitals included (`Kg` and `KG` may be two units); only the composition of its letters and
 * runs of white space are normalised. A market is distinguished by its region and currency, and, where its row names no region, as
 * for every "National Average", by its WFP id, because whole groups of countries share the franc. Ids count only there: the older
 * files have none, and a market is the same in both. Coordinates and the category do not count either, because WFP corrects them.
 */
export function seriesOf(price: Observation): readonly string[] {
  const { source, currency, admin1, admin2, market, marketId, commodity, unit, priceType } = price;
  const place = [admin1, admin2, market, admin1 === undefined ? marketId : undefined];
  return [source, currency, ...place, commodity, unit, priceType].map((name) =>
    (name ?? '').normalize('NFC').replaceAll(/\s+/gu, ' ').trim(),
  );
}

function listingId(price: Observation, seller: string): string {
  // As JSON: no character inside a name can pass for the border between two.
  return createHash('sha256')
    .update(JSON.stringify([seller, ...seriesOf(price)]))
    .digest('base64url')
    .slice(0, 22);
}

function isNewer(price: Observation, held: Observation): boolean {
  if (price.date !== held.date) return price.date > held.date;
  // Two prices for one day: any rule will do that does not look at the order of the rows.
  return canonical(price) > canonical(held);
}

function canonical(price: Observation): string {
  return JSON.stringify(Object.entries(price).sort(([a], [b]) => (a < b ? -1 : 1)));
}
