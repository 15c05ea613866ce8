import { insideFence } from './fenced.ts';
import type { ListingQuery } from './listing-query.ts';
import { allOf, searched, searchOf } from './listing-search.ts';
import type { ListQuery, SearchQuery } from './ports/search.ts';
import type { FencePort } from './ports/trust.ts';
import { listQuery } from './records.ts';

const FILTERS = ['commodity', 'region', 'type', 'status', 'productId', 'currency', 'unit'] as const;
/** Half of the way round the earth, km: a search by distance alone leaves out nothing that has a place. */
const ANYWHERE_KM = '20100';

/** The criteria of a query, under its parameter names. */
export interface AskedListings {
  readonly filter: ListQuery;
  /** Undefined for a plain list. */
  readonly search: SearchQuery | undefined;
}

/** Throws `query-invalid`, `coordinates-malformed`. */
export function askedListings(
  query: ListingQuery,
  fence: Pick<FencePort, 'reason' | 'active'>,
): AskedListings {
  const keep = allOf(query.fence === 'off' ? undefined : insideFence(fence), searched(query));
  const search = searchOf(query);
  const { radiusKm: given = '', sort } = query;
  const radiusKm = given === '' && sort === 'distance' ? ANYWHERE_KM : given;
  return { filter: { ...listQuery({ ...query, radiusKm }, FILTERS), keep }, search };
}
