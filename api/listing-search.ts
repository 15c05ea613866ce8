import type { ListQuery } from './context.ts';

type Keep = NonNullable<ListQuery['keep']>;
type Search = Readonly<Partial<Record<'location' | 'keyword' | 'minPrice' | 'maxPrice', string | undefined>>>;

/** What all of the given filters keep; undefined when none is given. */
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
