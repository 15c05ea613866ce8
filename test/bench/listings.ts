import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';

/** The fields of one listing as `POST /listings` and the import take them; `id` is its local id. */
export interface ListingFields extends Record<string, string | number> {
  id: string;
}

const PROJECT = new URL('../..', import.meta.url).pathname;

/** The price file to measure with: the given one, the full Kenya file beside the project, or the trimmed copy. */
export function pricesFile(given?: string): string {
  if (given !== undefined) return given;
  for (const folder of [join(PROJECT, '../shared/data'), join(PROJECT, 'test/data')]) {
    const name = existsSync(folder) ? readdirSync(folder).find((entry) => entry.endsWith('.csv')) : undefined;
    if (name !== undefined) return join(folder, name);
  }
  throw new Error('no price file: put one into test/data or name it with --prices');
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
