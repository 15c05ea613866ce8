import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';

/** The fields of one listing as `POST /listings` and the import take them; `id` is its local id. */
export interface ListingFields extends Record<string, string | number> {
  id: string;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** The price file to measure with: the given one, the full Kenya file beside the project, or the trimmed copy. */
export function pricesFile(given?: string): string {
  const places = ['../shared/data/wfp_food_prices_ken.csv', 'test/data/wfp-kenya-trimmed.csv'];
  const found = given ?? places.map((place) => join(PROJECT, place)).find((path) => existsSync(path));
  if (found === undefined) throw new Error('no price file: name one with --prices');
  return found;
}

/** `count` listings, one per row of a WFP price file; when it has fewer rows they are repeated under new ids. */
export function listingRecords(file: string, count: number): ListingFields[] {
  const rows: Record<string, string>[] = parse(readFileSync(file), { columns: true, skip_empty_lines: true });
  const usable = rows.filter((row) => Number.isFinite(Number(row['price'])) && !row['date']?.startsWith('#'));
  if (usable.length === 0) throw new Error(`no prices in ${file}`);
  const listings: ListingFields[] = [];
  for (let i = 0; i < count; i += 1) {
    const row = usable[i % usable.length];
    if (row !== undefined) listings.push(listingOf(row, `bench-${String(i).padStart(6, '0')}`));
  }
  return listings;
}

/** The listings of a file that `run.ts` wrote, one JSON document a line. */
export function readListings(file: string): ListingFields[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as ListingFields);
}

/** The fields of a listing whose id the node chooses. */
export function withoutId(listing: ListingFields): Record<string, string | number> {
  const { id: _, ...fields } = listing;
  return fields;
}

function listingOf(row: Record<string, string>, id: string): ListingFields {
  const text = (name: string): string => row[name] ?? '';
  const listing: ListingFields = {
    id,
    type: 'offer',
    title: `${text('commodity')}, ${text('unit')}`,
    commodity: text('commodity'),
    category: text('category'),
    unit: text('unit'),
    price: Number(text('price')),
    currency: text('currency'),
    market: text('market'),
    priceType: text('pricetype'),
    priceDate: isoDate(text('date')),
    source: 'WFP',
  };
  // 41 rows of the Kenya file have no region and no coordinates; an absent field is absent, not empty.
  if (text('admin1') !== '') listing['region'] = text('admin1');
  if (text('admin2') !== '') listing['location'] = text('admin2');
  if (text('latitude') !== '') listing['geoLat_'] = Number(text('latitude')).toFixed(5);
  if (text('longitude') !== '') listing['geoLong_'] = Number(text('longitude')).toFixed(5);
  return listing;
}

/** Both date forms occur in the wild: 1/15/2006 and 2006-01-15. */
function isoDate(date: string): string {
  const [month, day, year] = date.split('/');
  if (month === undefined || day === undefined || year === undefined) return date;
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}
