import { createReadStream, existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { listingOf, newestListings } from '../../../protocols/market/price-listings.ts';
import { readWfp } from '../../../protocols/market/wfp.ts';
import type { Observation, WfpRow } from '../../../protocols/market/wfp.ts';

const data = (name: string): URL => new URL(`../../data/${name}`, import.meta.url);
const TRIMMED = data('wfp-kenya-trimmed.csv');
const FULL = new URL('../../../../shared/data/wfp_food_prices_ken.csv', import.meta.url);

const PLAIN =
  'date,admin1,admin2,market,latitude,longitude,category,commodity,unit,priceflag,pricetype,currency,price,usdprice';
const GOOD =
  '2024-01-15,Coast,Mombasa,Mombasa,-4.05,39.67,cereals and tubers,Maize,KG,actual,Wholesale,KES,16.13,0.22';

async function rowsOf(source: AsyncIterable<Uint8Array | string>): Promise<WfpRow[]> {
  return Array.fromAsync(readWfp(source, systemEnv.offload));
}

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* parts;
}

function prices(rows: WfpRow[]): Observation[] {
  return rows.flatMap((row) => ('price' in row ? [row.price] : []));
}

function errors(rows: WfpRow[]): [number, string][] {
  return rows.flatMap((row): [number, string][] => ('error' in row ? [[row.line, row.error]] : []));
}

/** Counts a file without the reader under test: cells by a regular expression, columns by their place in the header. */
function independentCount(file: URL): { rows: number; keys: number; series: Set<string>; noRegion: number } {
  const cells = (line: string): string[] =>
    [...line.matchAll(/(?:^|,)(?:"([^"]*)"|([^,]*))/g)].map((match) => match[1] ?? match[2] ?? '');
  const [header = '', ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/);
  const names = cells(header);
  const pick = (row: string[], ...wanted: string[]): string =>
    wanted.map((name) => row[names.indexOf(name)]).join('|');
  const records = lines.map(cells);
  const series = ['market', 'commodity', 'unit', 'pricetype'];
  return {
    rows: records.length,
    keys: new Set(records.map((row) => pick(row, 'date', ...series))).size,
    series: new Set(records.map((row) => pick(row, ...series))),
    noRegion: records.filter((row) => pick(row, 'admin1') === '' && pick(row, 'latitude') === '').length,
  };
}

describe.each([
  ['the trimmed file', TRIMMED, { rows: 1499, series: 895 }],
  ['the full Kenya file', FULL, { rows: 12_189, series: 895 }],
])('%s', (_name, file, known) => {
  test.runIf(existsSync(file))('every row goes in, as counted independently', async () => {
    const expected = independentCount(file);
    const rows = await rowsOf(createReadStream(file));
    const read = prices(rows);
    expect(errors(rows)).toEqual([]);
    expect(read).toHaveLength(expected.rows);
    expect([expected.rows, expected.series.size, expected.noRegion]).toEqual([known.rows, known.series, 41]);

    const series = read.map((price) =>
      [price.market, price.commodity, price.unit, price.priceType].join('|'),
    );
    expect(new Set(series)).toEqual(expected.series);
    expect(new Set(read.map((price, index) => `${price.date}|${series[index]}`)).size).toBe(expected.keys);
    expect(expected.keys).toBe(expected.rows);

    const placeless = read.filter((price) => price.admin1 === undefined && price.latitude === undefined);
    expect(placeless).toHaveLength(41);
    expect(rows.map(({ line }) => line)).toEqual(rows.map((_, index) => index + 2));
  });

  test.runIf(existsSync(file))('the newest price of each series is one listing', async () => {
    const read = prices(await rowsOf(createReadStream(file)));
    const listings = newestListings(read, 'amina');
    expect(new Set(listings.map(({ id }) => id)).size).toBe(known.series);
    expect(newestListings(read.toReversed(), 'amina')).toEqual(listings);
    const newest = new Map<string, string>();
    for (const price of read) {
      const { id } = listingOf(price, 'amina');
      expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
      if (price.date > (newest.get(id) ?? '')) newest.set(id, price.date);
    }
    expect(new Map(listings.map(({ id, priceDate }) => [id, priceDate]))).toEqual(newest);
  });
});

describe('dialects', () => {
  test('all four say the same: with and without HXL line and ids, both date forms', async () => {
    const plain = prices(await rowsOf(createReadStream(data('wfp-plain-us-dates.csv'))));
    const hxl = prices(await rowsOf(createReadStream(data('wfp-hxl-iso-dates.csv'))));
    const ids = prices(await rowsOf(createReadStream(data('wfp-hxl-ids-iso-dates.csv'))));
    expect(plain).toHaveLength(13);
    expect(hxl).toEqual(plain);
    expect(ids.map(({ marketId: _m, commodityId: _c, ...price }) => price)).toEqual(plain);
    expect(ids.every((price) => price.marketId !== undefined && price.commodityId !== undefined)).toBe(true);
  });

  test('fields', async () => {
    const [row] = await rowsOf(createReadStream(data('wfp-hxl-ids-iso-dates.csv')));
    const price: Observation = {
      date: '2006-01-15',
      admin1: 'Coast',
      admin2: 'Mombasa',
      market: 'Mombasa',
      marketId: '191',
      latitude: -4.05,
      longitude: 39.67,
      category: 'cereals and tubers',
      commodity: 'Maize',
      commodityId: '51',
      unit: 'KG',
      priceFlag: 'actual',
      priceType: 'Wholesale',
      currency: 'KES',
      price: 16.13,
      usdPrice: 0.22,
      source: 'WFP',
    };
    expect(row).toEqual({ line: 3, price });
    expect(listingOf(price, 'amina')).toEqual({
      id: 'zWPcvhKwoMrPwY3DifHxb6',
      type: 'offer',
      title: 'Maize, KG, Wholesale',
      commodity: 'Maize',
      category: 'cereals and tubers',
      unit: 'KG',
      price: 16.13,
      currency: 'KES',
      region: 'Coast',
      location: 'Mombasa',
      market: 'Mombasa',
      geoLat_: '-4.05000',
      geoLong_: '39.67000',
      priceType: 'Wholesale',
      priceDate: '2006-01-15',
      source: 'WFP',
      userId: 'amina',
    });
  });

  test('a byte order mark, columns in another order and case, and a last line without an end', async () => {
    const rows = await rowsOf(
      chunks(
        '\uFEFFPrice,Currency,PriceType,PriceFlag,Unit,Commodity,Category,Longitude,Latitude,Market,Admin1,Date\r\n',
        '5,KES,Retail,actual,KG,Maize,cereals,,,Hola,,1/2/2024',
      ),
    );
    expect(rows).toEqual([
      {
        line: 2,
        price: {
          date: '2024-01-02',
          market: 'Hola',
          category: 'cereals',
          commodity: 'Maize',
          unit: 'KG',
          priceFlag: 'actual',
          priceType: 'Retail',
          currency: 'KES',
          price: 5,
          source: 'WFP',
        },
      },
    ]);
  });
});

test('two prices of one day: the same one is the newest in either order', () => {
  const base = { date: '2024-01-15', market: 'Hola', commodity: 'Maize', unit: 'KG', priceType: 'Retail' };
  const one: Observation = { ...base, currency: 'KES', price: 31, source: 'WFP' };
  const other: Observation = { ...one, price: 38 };
  expect(newestListings([one, other], 'amina')).toEqual(newestListings([other, one], 'amina'));
  expect(listingOf(one, 'amina')).not.toHaveProperty('geoLat_');
  expect(listingOf(one, 'amina').region).toBe('unspecified');
});

describe('bad input', () => {
  test('each bad row is reported with its line and reason, and the rows around it go in', async () => {
    const rows = await rowsOf(createReadStream(data('bad-rows.csv')));
    expect(errors(rows)).toEqual([
      [4, 'missing price'],
      [5, 'negative price: -16.13'],
      [6, 'no such date: "2024-02-30"'],
      [7, 'missing market'],
      [8, 'missing commodity'],
      [9, 'missing unit'],
      [10, 'missing currency'],
      [11, 'bad latitude: "-94.05"'],
      [12, 'one coordinate without the other'],
      [13, '12 columns where the header has 14'],
      [14, 'the quotes of the line do not match'],
      [16, 'no such date: "15/1/2024"'],
      [17, 'price is not a number: "sixteen"'],
    ]);
    expect(rows.flatMap((row) => ('price' in row ? [row.line] : []))).toEqual([3, 18]);
    expect(prices(rows)[1]).toMatchObject({ commodity: 'Milk (cow, fresh)', price: 60 });
  });

  test('a header without the columns is one error that names them all', async () => {
    await expect(rowsOf(chunks('date,market,price\n2024-01-01,a,1\n'))).rejects.toMatchObject({
      code: 'wfp.header',
      message:
        'not a WFP price file: the header lacks admin1, commodity, unit, currency ' +
        '(it is "date, market, price"; the first line has to name the columns)',
    });
    await expect(rowsOf(chunks(`${PLAIN},price\n`))).rejects.toThrow('the header names "price" twice');
    await expect(rowsOf(chunks(''))).rejects.toThrow('it is empty');
    await expect(rowsOf(chunks(Uint8Array.of(0x64, 0xc3, 0x28, 0x0a)))).rejects.toThrow('not valid UTF-8');
    await expect(rowsOf(chunks('x'.repeat(1_000_000)))).rejects.toThrow('the line is too long');
  });

  test('a line that is too long or not UTF-8 costs itself only', async () => {
    const long = Array.from({ length: 100 }, () => 'x'.repeat(1_000));
    const rows = await rowsOf(
      chunks(`${PLAIN}\n${GOOD}\n`, ...long, `\n${GOOD}\n`, Uint8Array.of(0xc3, 0x28), `,\n${GOOD}\n`),
    );
    expect(errors(rows)).toEqual([
      [3, 'the line is too long'],
      [5, 'the line is not valid UTF-8; save the file as UTF-8'],
    ]);
    expect(prices(rows)).toHaveLength(3);
  });

  test('where the chunks are cut makes no difference, multi-byte letters and CRLF included', async () => {
    const bytes = new TextEncoder().encode(
      `${PLAIN}\r\n${GOOD.replaceAll('Mombasa', 'Mombása ش')}\r\n\r\n${GOOD}\r\n`,
    );
    const whole = await rowsOf(chunks(bytes));
    expect(prices(whole).map(({ market }) => market)).toEqual(['Mombása ش', 'Mombasa']);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length)), async (cuts) => {
        const ends = [...cuts.toSorted((a, b) => a - b), bytes.length];
        const parts = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        expect(await rowsOf(chunks(...parts))).toEqual(whole);
      }),
    );
  });

  test('any line is a price or a reason, never a throw', async () => {
    const cell = fc.oneof(
      fc.string(),
      fc.constantFrom('', '"', 'NaN', '1e999', '-1', '13/13/2024', '9999-99-99'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(cell, { maxLength: 16 }), async (cells) => {
        const line = cells.join(',').replaceAll(/[\r\n]/g, ' ');
        const rows = await rowsOf(chunks(`${PLAIN}\n${GOOD}\n${line}\n${GOOD}\n`));
        expect(rows.filter((row) => row.line === 2 || row.line === 4)).toHaveLength(2);
        expect(prices(rows).length).toBeGreaterThanOrEqual(2);
      }),
    );
  });
});
