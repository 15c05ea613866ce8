import { AgrinetError } from '../errors.ts';
import { isoDay } from '../wire/iso-time.ts';
import { cellKindOf } from './price-kind.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** No currency writes a sum like this for anything that a market sells. */
export const MOST_PRICE = 1e15;
/** Nobody observed market prices for these files before; a year like 0206 is a slip. */
const FIRST_DAY = '1900-01-01';

/** The last day, as YYYY-MM-DD, for which there can be a price: one day ahead, for places east of this node. */
export function lastPriceDay(now: number): string {
  return isoDay(now + DAY_MS);
}

/**
 * Why a client's input is not an observed price of a real day; undefined when it is one. It guards what this node writes itself:
 * what others have signed is checked by the schema alone, and so the same everywhere.
 */
function priceProblem(price: unknown, date: unknown, now: number, field = 'date'): string | undefined {
  if (typeof price === 'number') {
    if (price === 0) return 'price: 0 is no price';
    if (!(price > 0) || price > MOST_PRICE) return `price: ${price} is no price`;
  }
  if (typeof date !== 'string') return undefined; // that it is lacking, or no text, the schema says
  const time = Date.parse(`${date}T00:00:00Z`);
  // JavaScript turns 31 June into 1 July; a date that changes when parsed does not exist.
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date) || Number.isNaN(time) || isoDay(time) !== date)
    return `${field}: no such day, as YYYY-MM-DD`;
  if (date > lastPriceDay(now)) return `${field}: ${date} is more than a day ahead`;
  if (date < FIRST_DAY) return `${field}: ${date} is before ${FIRST_DAY}`;
  return undefined;
}

/** Throws `fields-invalid` for anything but an observed price of a real day. */
export function requirePrice(price: unknown, date: unknown, now: number): void {
  const problem = priceProblem(price, date, now);
  if (problem !== undefined) throw new AgrinetError('fields-invalid', problem);
}

/**
 * The same of a listing, whichever way it comes: one that names the day of its price says that the price was observed. Without `priceDate` a
 * price is the seller's own, and may be 0, as of what is given away. Throws `fields-invalid`.
 */
export function requireListingPrice(fields: Readonly<Record<string, unknown>>, now: number): void {
  const { price, priceDate } = fields;
  if (priceDate === undefined) return;
  const problem = priceProblem(price, priceDate, now, 'priceDate');
  if (problem !== undefined) throw new AgrinetError('fields-invalid', problem);
}

/** Throws `fields-invalid` for a price that claims to be a median of this node's trades: only the node itself publishes those. */
export function requireOtherSource(source: unknown): void {
  if (typeof source === 'string' && cellKindOf(source.trim().toLowerCase()) !== undefined)
    throw new AgrinetError(
      'fields-invalid',
      `source: ${source} is what this node publishes by itself of its trades and listings; name where the price was seen`,
    );
}

/** Whether a price of `date` may take the place of one of the day `held`. A day that is still to come keeps nothing out. */
export function replacesPriceOf(held: unknown, date: string, now: number): boolean {
  return typeof held !== 'string' || held <= date || held > lastPriceDay(now);
}
