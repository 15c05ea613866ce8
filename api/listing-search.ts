import { AgrinetError } from '../protocols/errors.ts';
import { clausesOf } from '../protocols/market/search-words.ts';
import type { ListQuery, SearchQuery, Span } from './ports/search.ts';

type Keep = NonNullable<ListQuery['keep']>;
type Search = Readonly<Partial<Record<'location' | 'keyword' | 'minPrice' | 'maxPrice', string | undefined>>>;

/** Combines all given filters; undefined when none is given. */
export function allOf(...given: (Keep | undefined)[]): Keep | undefined {
  const all = given.filter((keep) => keep !== undefined);
  return all.length === 0 ? undefined : (state) => all.every((keep) => keep(state));
}

/** The filters of the published Agrinet back end: parts of location and title in any case, a price within both bounds. Empty is not given. */
export function searched({
  location = '',
  keyword = '',
  minPrice = '',
  maxPrice = '',
}: Search): Keep | undefined {
  if (location + keyword + minPrice + maxPrice === '') return undefined;
  const holds = (value: unknown, part: string): boolean =>
    part === '' || (typeof value === 'string' && value.toLowerCase().includes(part.toLowerCase()));
  const [least, most] = [minPrice, maxPrice].map((bound) => (bound === '' ? undefined : Number(bound)));
  return ({ view: { location: at, title, price } }) =>
    holds(at, location) &&
    holds(title, keyword) &&
    (least === undefined || (typeof price === 'number' && price >= least)) &&
    (most === undefined || (typeof price === 'number' && price <= most));
}

/** The parameters of a search; empty counts as not given. */
export type SearchNames =
  | 'q'
  | 'currency'
  | 'unit'
  | 'priceMin'
  | 'priceMax'
  | 'quantityMin'
  | 'quantityMax'
  | 'sort';

type Given = Readonly<Partial<Record<SearchNames | 'coordinates' | 'geoLat_', string | undefined>>>;

/**
 * The search; undefined when there is none. Prices are compared within one currency and unit only, and quantities within one unit:
 * both have to be named. Throws `query-invalid`.
 */
export function searchOf(query: Given): SearchQuery | undefined {
  const { q = '', currency = '', unit = '', sort = '' } = query;
  const [price, quantity] = [
    spanOf(query.priceMin, query.priceMax),
    spanOf(query.quantityMin, query.quantityMax),
  ];
  if (q + currency + unit + sort === '' && price === undefined && quantity === undefined) return undefined;
  if ((price !== undefined || sort === 'price') && (currency === '' || unit === ''))
    throw new AgrinetError(
      'query-invalid',
      'priceMin, priceMax and sort=price require currency and unit: prices in different currencies or units cannot be compared',
    );
  if (quantity !== undefined && unit === '')
    throw new AgrinetError('query-invalid', 'quantityMin and quantityMax require unit');
  if (sort === 'distance' && (query.coordinates ?? query.geoLat_ ?? '') === '')
    throw new AgrinetError('query-invalid', 'sort=distance requires coordinates, or geoLat_ and geoLong_');
  const clauses = q.trim() === '' ? [] : clausesOf(q);
  if (clauses.length === 0 && q.trim() !== '')
    throw new AgrinetError('query-invalid', 'q: contains no word to search for');
  return { clauses, price, quantity, sort: sort === 'price' || sort === 'distance' ? sort : 'newest' };
}

function spanOf(least = '', most = ''): Span | undefined {
  if (least + most === '') return undefined;
  return { from: least === '' ? undefined : Number(least), to: most === '' ? undefined : Number(most) };
}
