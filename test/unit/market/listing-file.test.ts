import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { openImportFile } from '../../../protocols/market/import-file.ts';
import {
  type FileListing,
  LISTING_COLUMNS,
  type ListingRow,
  listingTemplate,
} from '../../../protocols/market/listing-file.ts';

async function rowsOf(text: string | Uint8Array, user: string | null = 'mary'): Promise<ListingRow[]> {
  const source = (async function* () {
    yield text;
  })();
  const file = await openImportFile(source, systemEnv.offload);
  if (file.kind !== 'listings') throw new Error(`a file of ${file.kind}`);
  return Array.fromAsync(file.rows(user ?? undefined));
}
const listingsOf = (rows: readonly ListingRow[]): FileListing[] =>
  rows.map((row) => {
    if ('error' in row) throw new Error(`line ${row.line}: ${row.error}`);
    return row.listing;
  });
const errorsOf = (rows: readonly ListingRow[]): [number, string][] =>
  rows.flatMap((row): [number, string][] => ('error' in row ? [[row.line, row.error]] : []));

test('the template is a file of two listings with every column', async () => {
  const [first, second] = listingsOf(await rowsOf(listingTemplate()));
  expect(first).toEqual({
    id: 'maize-2026',
    type: 'offer',
    title: 'White maize, dry',
    commodity: 'Maize',
    category: 'cereals',
    description: 'Moisture 13 %, in 90 kg sacks',
    quantity: 100,
    unit: 'kg',
    price: 55,
    currency: 'KES',
    region: 'Nyanza',
    location: 'Kisumu',
    geoLat_: '-0.10230',
    geoLong_: '34.76170',
    availability: 'from 1 December',
    tags: ['organic', 'dry'],
    userId: 'mary',
  });
  expect(second).toMatchObject({
    type: 'request',
    title: 'Empty 90 kg sacks',
    quantity: 200,
    userId: 'mary',
  });
  expect(second).not.toHaveProperty('commodity');
  const [header = ''] = listingTemplate().split('\n');
  expect(header.split(',')).toEqual(Object.keys(LISTING_COLUMNS));
});

test('columns in any order, by their other names, as spreadsheets of other countries save them', async () => {
  const utf16 = Buffer.concat([
    Buffer.from([0xff, 0xfe]),
    Buffer.from('SELLER;Price;Qty;Title;lat;lng\r\namina;"1.234,50";2,5;Café;-0,1023;34,7617\r\n', 'utf16le'),
  ]);
  expect(listingsOf(await rowsOf(utf16, null))).toEqual([
    expect.objectContaining({
      userId: 'amina',
      price: 1234.5,
      quantity: 2.5,
      title: 'Café',
      geoLat_: '-0.10230',
      geoLong_: '34.76170',
    }),
  ]);
});

test('a bad row is named by its line and keeps no other out', async () => {
  const rows = await rowsOf(
    [
      'title,type,quantity,price,latitude,longitude,user',
      'Good,,1,2,,,',
      ',,1,2,,,',
      'Free,gift,1,2,,,',
      'Less than none,,-1,2,,,',
      'Many,,"1,234",2,,,',
      'Nowhere,,1,2,1.5,,',
      'Beyond,,1,2,91.5,3.5,',
      'Good,,7,8,,,',
      'Good,,7,8,,,juma',
      'Short,,1',
    ].join('\n'),
  );
  expect(errorsOf(rows)).toEqual([
    [3, 'missing title'],
    [4, 'type is neither offer nor request: "gift"'],
    [5, 'negative quantity: -1'],
    [6, expect.stringContaining('quantity may be thousands or a fraction')],
    [7, 'one coordinate without the other'],
    [8, 'bad latitude: "91.5"'],
    [9, 'the same listing as line 2: give each an id of its own'],
    [11, '3 columns where the header has 7'],
  ]);
  expect(rows.length).toBe(10);
  const [noUser] = errorsOf(await rowsOf('title\nGood\n', null));
  expect(noUser).toEqual([2, expect.stringContaining('no user')]);
});

describe('a header that says something else than is there', () => {
  test.each([
    ['title,prise\nA,1\n', '"prise"'],
    ['title,price,Price\nA,1,2\n', '"price" twice'],
    ['title,price\n', 'no row below the header'],
  ])('%j', async (text, message) => {
    await expect(rowsOf(text)).rejects.toMatchObject({
      code: 'listings.header',
      message: expect.stringContaining(message) as string,
    });
  });

  test('empty columns, as spreadsheets save them, are none', async () => {
    expect(listingsOf(await rowsOf('title,,\nA,,\n'))).toMatchObject([{ title: 'A' }]);
  });
});

test('the same row has the same id whatever its price is by then, and two different ones have two', async () => {
  const text = fc.stringMatching(/^[a-z ]{1,12}$/).map((some) => `x${some}x`);
  const key = fc.record({ title: text, commodity: text, unit: text, location: text });
  const idOf = async (fields: Record<string, string>, price: number): Promise<string> => {
    const names = Object.keys(fields);
    const [listing] = listingsOf(
      await rowsOf(`${names.join(',')},price\n${names.map((name) => fields[name]).join(',')},${price}\n`),
    );
    return listing?.id ?? '';
  };
  await fc.assert(
    fc.asyncProperty(key, key, async (one, other) => {
      expect(await idOf(one, 1)).toBe(await idOf(one, 2));
      const same = JSON.stringify(one) === JSON.stringify(other);
      expect((await idOf(one, 1)) === (await idOf(other, 1))).toBe(same);
    }),
    { numRuns: 50 },
  );
});

test('rows of separators alone, as spreadsheets save empty ones, are no listings, and count as lines', async () => {
  const text = 'title,type,unit\n,,\nMaize,offer,kg\n , ,\n\nBeans,offer,kg\n,,\n';
  const rows = await rowsOf(text);
  expect(listingsOf(rows).map(({ title }) => title)).toEqual(['Maize', 'Beans']);
  expect(errorsOf(await rowsOf(`${text},,kg\n`))).toMatchObject([[8, expect.any(String)]]);
  expect(listingsOf(await rowsOf(text.replaceAll(',', ';')))).toHaveLength(2);
});
