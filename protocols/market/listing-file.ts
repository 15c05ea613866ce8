import { createHash } from 'node:crypto';
import { AgrinetError } from '../errors.ts';
import { coordinateFields } from './coordinates.ts';
import { coordinateIn, numberIn, optional, required } from './csv-cells.ts';
import { BadRow, type Cell, type ColumnPlaces, CsvColumns, quoted, rowOf } from './csv-columns.ts';
import { hasDecimalComma } from './csv-numbers.ts';
import type { CsvRecords } from './csv-records.ts';

interface Column {
  /** Other accepted names of a column. */
  readonly also?: readonly string[];
  readonly help: string;
  /** In the template's rows. */
  readonly examples: readonly [string, string];
}

/** The columns of a listings file, in the template's order. Documentation, template and reader come from here. */
export const LISTING_COLUMNS = {
  id: {
    help: 'The listing’s own id: letters, digits, `-` and `_`. A row with the same id replaces that listing. Left out, it is made from user, type, title, commodity, unit and location',
    examples: ['maize-2026', ''],
  },
  title: {
    help: 'What is offered or wanted, in a few words',
    examples: ['White maize, dry', 'Empty 90 kg sacks'],
  },
  type: { help: '`offer` (the default) or `request`', examples: ['offer', 'request'] },
  commodity: { help: 'Name of the goods, by which they are found and compared', examples: ['Maize', ''] },
  category: { help: 'Group of goods', examples: ['cereals', 'packaging'] },
  description: { help: 'Anything else to say', examples: ['Moisture 13 %, in 90 kg sacks', ''] },
  quantity: { also: ['qty'], help: 'How much there is', examples: ['100', '200'] },
  unit: { help: 'What quantity and price are counted in', examples: ['kg', 'piece'] },
  price: { help: 'Price of one unit, without the currency', examples: ['55', '30'] },
  currency: { help: 'Three letters, as in ISO 4217', examples: ['KES', 'KES'] },
  region: { help: 'Region, as the federation writes it', examples: ['Nyanza', 'Nyanza'] },
  location: { also: ['place'], help: 'Town, market or address', examples: ['Kisumu', 'Kisumu'] },
  latitude: { also: ['lat'], help: 'Degrees; together with longitude', examples: ['-0.10230', ''] },
  longitude: { also: ['lon', 'long', 'lng'], help: 'Degrees', examples: ['34.76170', ''] },
  availability: { help: 'When it can be had', examples: ['from 1 December', ''] },
  tags: { help: 'Words to group by, with `;` between them', examples: ['organic;dry', ''] },
  user: {
    also: ['userid', 'seller'],
    help: 'The user of this node whose listing it is; without one that of `--user`',
    examples: ['', ''],
  },
} as const satisfies Record<string, Column>;
type ListingColumn = keyof typeof LISTING_COLUMNS;

const COLUMNS = Object.entries(LISTING_COLUMNS) as [ListingColumn, Column][]; // the keys of a constant
export const LISTING_FILE_COLUMNS = new CsvColumns(
  COLUMNS.map(([name, { also = [] }]) => [name, [name, ...also]] as const),
);

/** The fields of a `listings` record, with its local id. */
export interface FileListing {
  readonly id: string;
  readonly type: 'offer' | 'request';
  readonly title: string;
  readonly commodity?: string;
  readonly category?: string;
  readonly description?: string;
  readonly quantity?: number;
  readonly unit?: string;
  readonly price?: number;
  readonly currency?: string;
  readonly region?: string;
  readonly location?: string;
  /** Degrees with five decimals. */
  readonly geoLat_?: string;
  readonly geoLong_?: string;
  readonly availability?: string;
  readonly tags?: readonly string[];
  readonly userId: string;
}

/** One row of a listings file: its listing, or why it is not one. `line` counts from 1, the header's line included. */
export type ListingRow = { line: number; listing: FileListing } | { line: number; error: string };

/** A file that can be filled in: the header and two rows. */
export function listingTemplate(): string {
  const rows = [
    COLUMNS.map(([name]) => name),
    ...[0, 1].map((i) => COLUMNS.map(([, { examples }]) => examples[i] ?? '')),
  ];
  return rows.map((cells) => `${cells.map(csvCell).join(',')}\n`).join('');
}

/** Whether a header is that of a listings file: a price file has no titles. */
export function isListingHeader(header: readonly string[]): boolean {
  return LISTING_FILE_COLUMNS.placesIn(header).at.has('title');
}

/**
 * The rows of a listings file below its header, in their order. A bad row is yielded with its reason and reading continues, as is
 * one that would replace another row of the file. Throws `listings.header` for columns that do not exist, or appear twice, and where
 * no row follows.
 */
export async function* listingRows(
  records: CsvRecords,
  header: readonly string[],
  user: string | undefined,
): AsyncGenerator<ListingRow> {
  const columns = listingColumnsOf(header);
  const lines = new Map<string, number>();
  let rows = 0;
  for (
    let next = await records.next(columns.width);
    next !== undefined;
    next = await records.next(columns.width)
  ) {
    rows += 1;
    const { line } = next;
    const row = 'error' in next ? next : rowOf(next.cells, columns, (cell) => listingIn(cell, user));
    if ('error' in row) {
      yield { line, error: row.error };
      continue;
    }
    const listing = row.value;
    const before = lines.get(listing.id);
    if (before === undefined) {
      lines.set(listing.id, line);
      yield { line, listing };
    } else yield { line, error: `the same listing as line ${before}: give each an id of its own` };
  }
  if (rows === 0) throw new AgrinetError('listings.header', 'no row below the header');
}

function listingColumnsOf(header: readonly string[]): ColumnPlaces<ListingColumn> {
  const { twice, unknown, ...columns } = LISTING_FILE_COLUMNS.placesIn(header);
  const strange = unknown.filter((name) => name !== ''); // spreadsheets save empty columns too
  const names = (some: readonly string[]): string => some.map((name) => quoted(name)).join(', ');
  if (strange.length > 0)
    throw new AgrinetError(
      'listings.header',
      `no column of a listings file: ${names(strange)}. There are ${COLUMNS.map(([name]) => name).join(', ')}; \`agrinet import --template\` prints a file to fill in`,
    );
  if (twice.length > 0)
    throw new AgrinetError(
      'listings.header',
      `the header names ${names(twice)} twice; remove one of the columns`,
    );
  return columns;
}

function listingIn(cell: Cell<ListingColumn>, user: string | undefined): FileListing {
  const commas = hasDecimalComma((['quantity', 'price', 'latitude', 'longitude'] as const).map(cell));
  const number = (name: 'quantity' | 'price'): Record<string, number> => {
    const value = numberIn(cell(name), name, commas);
    return value === undefined ? {} : { [name]: value };
  };
  const type = typeIn(cell('type'));
  const userId = cell('user') || user;
  if (userId === undefined) throw new BadRow('no user: fill in the column user, or name one with --user');
  const tags = cell('tags')
    .split(';')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  const fields = {
    type,
    title: required(cell('title'), 'title'),
    ...optional('commodity', cell('commodity')),
    ...optional('category', cell('category')),
    ...optional('description', cell('description')),
    ...number('quantity'),
    ...optional('unit', cell('unit')),
    ...number('price'),
    ...optional('currency', cell('currency').toUpperCase()),
    ...optional('region', cell('region')),
    ...optional('location', cell('location')),
    ...placeIn(cell),
    ...optional('availability', cell('availability')),
    ...(tags.length === 0 ? {} : { tags }),
    userId,
  };
  return { ...fields, id: cell('id') || idOf(fields) };
}

function typeIn(text: string): FileListing['type'] {
  const type = text.toLowerCase();
  if (type === '' || type === 'offer') return 'offer';
  if (type === 'request') return type;
  throw new BadRow(`type is neither offer nor request: ${quoted(text)}`);
}

function placeIn(cell: Cell<ListingColumn>): Record<string, string> {
  const lat = coordinateIn(cell('latitude'), 'latitude', 90);
  const long = coordinateIn(cell('longitude'), 'longitude', 180);
  if (lat === undefined && long === undefined) return {};
  if (lat === undefined || long === undefined) throw new BadRow('one coordinate without the other');
  return { ...coordinateFields({ lat, long }) };
}

/** The same for the same row whenever it is imported, whatever its price and quantity are by then. */
function idOf(fields: Readonly<Record<string, unknown>>): string {
  const named = ['userId', 'type', 'title', 'commodity', 'unit', 'location'].map(
    (name) => fields[name] ?? '',
  );
  // As JSON: no character inside a name can pass for the border between two.
  return createHash('sha256').update(JSON.stringify(named)).digest('base64url').slice(0, 22);
}

function csvCell(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
