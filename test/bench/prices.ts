import type { Scalar } from '../../protocols/open-dialog/change.ts';
import type { ListingFields } from './listings.ts';

const DAY_MS = 86_400_000;

/** The price that a listing was made of; of a further round over the same rows it is another, weeks later in the same month. */
export function priceRow(
  listing: ListingFields,
  round: number,
  random: () => number,
): Record<string, Scalar> {
  const text = (name: string): string => String(listing[name] ?? '');
  const day = Date.parse(text('priceDate')) + (round % 28) * DAY_MS;
  return {
    commodity: text('commodity'),
    market: text('market'),
    admin1: text('region'),
    unit: text('unit'),
    currency: text('currency'),
    priceType: text('priceType'),
    price: Number((Number(listing['price']) * (0.9 + 0.2 * random())).toFixed(2)),
    date: new Date(day).toISOString().slice(0, 10),
  };
}
