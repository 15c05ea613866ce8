import { z } from '@hono/zod-openapi';
import { decimal, filterQuery, nearQuery, ownerQuery } from './schemas.ts';

/** The names by which listings are asked for, but for those of a page. */
export const listingQuery = {
  commodity: filterQuery('Name of the commodity.'),
  region: filterQuery('Region.'),
  type: z
    .string()
    .regex(/^(offer|request)?$/, 'must be offer or request')
    .optional()
    .openapi({ description: '`offer` or `request`.' }),
  status: filterQuery('Status.'),
  productId: filterQuery('Product ID.'),
  q: filterQuery(
    'Words that the title, the description or the commodity has, all of them; case, diacritics and English plurals do not matter, and goods are found by their other names in English and Swahili, too. A `*` at the end makes the last word the beginning of one.',
  ),
  sort: z.enum(['newest', 'price', 'distance']).optional().openapi({
    description:
      '`price`: cheapest first, in the given `currency` and `unit`; `distance`: nearest first, from the given `coordinates`.',
  }),
  currency: filterQuery('Currency of the price.'),
  unit: filterQuery('Unit of price and quantity.'),
  priceMin: decimal.openapi({ description: 'Minimum price; requires `currency` and `unit`.' }),
  priceMax: decimal.openapi({ description: 'Maximum price; requires `currency` and `unit`.' }),
  quantityMin: decimal.openapi({ description: 'Minimum quantity; requires `unit`.' }),
  quantityMax: decimal.openapi({ description: 'Maximum quantity; requires `unit`.' }),
  location: filterQuery('Substring of the location; case-insensitive.'),
  keyword: filterQuery('Substring of the title; case-insensitive.'),
  minPrice: decimal.openapi({ description: 'Minimum price, in any currency and unit.' }),
  maxPrice: decimal.openapi({ description: 'Maximum price, in any currency and unit.' }),
  ...ownerQuery,
  ...nearQuery,
};
/** Whether what lies outside the geofence is asked for, too. */
export const fenceQuery = z.enum(['on', 'off']).openapi({
  description: '`off` includes listings outside the geofence, each with the reason in `outside`.',
});

/** The parameters of a listing query. */
export type ListingQuery = Readonly<
  Partial<{ [Name in keyof typeof listingQuery]: z.output<(typeof listingQuery)[Name]> }>
> & { readonly fence?: z.output<typeof fenceQuery> | undefined };
