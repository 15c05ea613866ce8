import { createReadStream, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { parse as parseCsv } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { decimalOf, hasDecimalComma } from '../../../protocols/market/csv-numbers.ts';
import { type Observation, readWfp, type WfpRow } from '../../../protocols/market/wfp.ts';

const data = (name: string): URL => new URL(`../../data/${name}`, import.meta.url);
const TABLE = parseCsv(readFileSync(data('wfp-hxl-ids-iso-dates.csv')));

async function rowsOf(file: Uint8Array | string, piece = 0): Promise<WfpRow[]> {
  const bytes = Buffer.from(file);
  return Array.fromAsync(
    readWfp(
      (async function* () {
        const step = piece === 0 ? Math.max(bytes.length, 1) : piece;
        for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
      })(),
      systemEnv.offload,
    ),
  );
}
const pricesOf = (rows: readonly WfpRow[]): Observation[] =>
  rows.map((row) => {
    if ('error' in row) throw new Error(`line ${row.line}: ${row.error}`);
    return row.price;
  });
const SAME = pricesOf(await rowsOf(readFileSync(data('wfp-hxl-ids-iso-dates.csv'))));

interface Dialect {
  readonly delimiter: string;
  readonly end: string;
  readonly comma: boolean;
  readonly encode: (text: string) => Uint8Array;
}
/** The same table as a spreadsheet of some country saves it. */
function saved({ delimiter, end, comma, encode }: Dialect): Uint8Array {
  const numbers = ['latitude', 'longitude', 'price', 'usdprice'].map((name) => TABLE[0]?.indexOf(name));
  const cell = (text: string, at: number): string => {
    const shown = comma && numbers.includes(at) ? text.replace('.', ',') : text;
    return /[",;\t|]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
  };
  return encode(TABLE.map((row) => row.map(cell).join(delimiter)).join(end) + end);
}
const swapped = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16();
const ENCODINGS: Readonly<Record<string, (text: string) => Uint8Array>> = {
  'UTF-8': (text) => Buffer.from(text),
  'UTF-8 with a byte order mark': (text) => Buffer.from(`\uFEFF${text}`),
  'UTF-16 LE': (text) => Buffer.from(`\uFEFF${text}`, 'utf16le'),
  'UTF-16 BE': (text) => swapped(Buffer.from(`\uFEFF${text}`, 'utf16le')),
  gzip: (text) => gzipSync(text),
  'gzip of UTF-16 in two members': (text) =>
    Buffer.concat([gzipSync(Buffer.from(`\uFEFF${text}`, 'utf16le')), gzipSync('')]),
};

describe('the same table says the same', () => {
  test('in every encoding, delimiter, line end and decimal mark, wherever its pieces are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(ENCODINGS)),
        fc.constantFrom(',', ';', '\t', '|'),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.boolean(),
        fc.constantFrom(0, 1, 2, 3, 7, 100),
        async (encoding, delimiter, end, comma, piece) => {
          const encode = ENCODINGS[encoding];
          if (encode === undefined) throw new Error(encoding);
          const file = saved({ delimiter, end, comma, encode });
          expect(pricesOf(await rowsOf(file, piece))).toEqual(SAME);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('in the file of 2021: an index column, no priceflag, and the flag where the type is now', async () => {
    const prices = pricesOf(
      await Array.fromAsync(
        readWfp(createReadStream(data('wfp-2021-index-flag-as-type.csv')), systemEnv.offload),
      ),
    );
    // Nothing of such a file says whether a price is retail or wholesale, and nothing is made up.
    expect(prices).toEqual(
      SAME.map(({ marketId: _m, commodityId: _c, ...rest }) => ({ ...rest, priceType: 'unspecified' })),
    );
  });

  test('in the file of 2020: other names of columns, the type behind the commodity, no coordinates', async () => {
    const prices = pricesOf(
      await Array.fromAsync(readWfp(createReadStream(data('wfp-2020-other-names.csv')), systemEnv.offload)),
    );
    expect(prices).toEqual(
      SAME.map(({ admin2: _a, latitude: _l, longitude: _o, priceFlag: _f, usdPrice: _u, ...rest }) => rest),
    );
  });

  test('with the row numbers that R writes without a column, and with Excel’s sep line', async () => {
    const [head = [], hxl = [], ...rows] = TABLE;
    const line = (cells: readonly string[]): string => cells.map((cell) => `"${cell}"`).join(',');
    const r = [line(head), ...[hxl, ...rows].map((row, i) => line([String(i + 1), ...row]))];
    expect(pricesOf(await rowsOf(r.slice(0, 1).concat(r.slice(2)).join('\n')))).toEqual(SAME);
    const excel = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll(';', '')).join(';'));
    expect(pricesOf(await rowsOf(['sep=;', ...excel].join('\r\n')))).toEqual(SAME);
  });
});

const HEADER =
  'date,admin1,admin2,market,latitude,longitude,category,commodity,unit,priceflag,pricetype,currency,price,usdprice';
const row = (over: { date?: string; market?: string; price?: string }): string =>
  `${over.date ?? '2024-01-15'},Coast,,${over.market ?? 'Mombasa'},,,cereals,Maize,KG,actual,Retail,KES,${over.price ?? '16.13'},`;

describe('quoted fields', () => {
  test('may go on over lines; the record has the line it begins at', async () => {
    const file = [
      HEADER,
      row({ market: '"Kibuye\r\n(Kisumu)"' }),
      row({}),
      row({ market: '"A ""B"""' }),
    ].join('\r\n');
    const rows = await rowsOf(file);
    expect(rows.map(({ line }) => line)).toEqual([2, 4, 5]);
    expect(pricesOf(rows).map(({ market }) => market)).toEqual(['Kibuye\n(Kisumu)', 'Mombasa', 'A "B"']);
  });

  test('a stray quote costs its own line, whatever stands in the next ones', async () => {
    for (const after of [
      row({}),
      row({ market: '"Milk (cow, fresh)"' }),
      row({ market: 'a"b' }),
      '',
      '"'.repeat(3),
    ]) {
      const rows = await rowsOf([HEADER, row({ market: '"Mombasa' }), after, row({ price: '5' })].join('\n'));
      expect(rows[0]).toEqual({ line: 2, error: 'the quotes of the line do not match' });
      expect(rows.at(-1)).toMatchObject({ line: 4, price: { price: 5 } });
    }
  });
});

describe('numbers', () => {
  test.each<[string, boolean, number | RegExp]>([
    ['16.13', false, 16.13],
    ['16,13', false, 16.13],
    ['0,2265', false, 0.2265],
    ['0,223', false, 0.223],
    ['1.234,56', false, 1234.56],
    ['1,234.56', false, 1234.56],
    ['1,234,567', false, 1_234_567],
    ['1.234.567', false, 1_234_567],
    ['1,234', false, /thousands or a fraction/],
    ['1,234', true, 1.234],
    ['1.234', false, 1.234],
    ['1.234', true, /thousands or a fraction/],
    ['1,23,4', false, /not a number/],
    ['1e999', false, /not a number/],
    ['12 000', false, /not a number/],
    ['', false, /not a number/],
  ])('%j, with other commas in its row: %j', (text, commas, expected) => {
    const value = decimalOf(text, commas);
    if (expected instanceof RegExp) expect(value).toMatch(expected);
    else expect(value).toBe(expected);
  });

  test('what JavaScript writes is read as it was, with a point and, where it can be nothing else, with a comma', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (value) => {
        expect(decimalOf(String(value), false)).toBe(value === 0 ? 0 : value);
        const comma = String(value).replace('.', ',');
        if (!comma.includes('e') && hasDecimalComma([comma])) expect(decimalOf(comma, false)).toBe(value);
      }),
    );
  });

  test('a row whose number may be thousands is refused by name, unless the row has other commas', async () => {
    const semicolons = HEADER.replaceAll(',', ';');
    const line = (price: string, latitude: string): string =>
      `2024-01-15;Coast;;Mombasa;${latitude};${latitude === '' ? '' : '39,67'};cereals;Maize;KG;actual;Retail;KES;${price};`;
    const rows = await rowsOf([semicolons, line('1,234', ''), line('1,234', '-4,05')].join('\n'));
    expect(rows).toMatchObject([
      { line: 2, error: expect.stringContaining('price may be thousands or a fraction') as string },
      { line: 3, price: { price: 1.234, latitude: -4.05 } },
    ]);
  });
});

test.each([
  ['2024-01-15', '2024-01-15'],
  ['1/15/2024', '2024-01-15'],
  ['2024-01-15 00:00:00', '2024-01-15'],
  ['2024-01-15T00:00:00.000Z', '2024-01-15'],
  ['2024/01/15', '2024-01-15'],
  ['15/1/2024', undefined],
  ['15.01.2024', undefined],
  ['2024-01-15T09:30:00', undefined],
  ['45306', undefined],
  ['01/24', undefined],
])('the date %s is %s', async (text, expected) => {
  const [read] = await rowsOf(`${HEADER}\n${row({ date: text })}\n`);
  if (expected === undefined)
    expect(read).toMatchObject({ error: expect.stringContaining('date') as string });
  else expect(read).toMatchObject({ price: { date: expected } });
});

/** A tar archive of one file: a head of 512 bytes with its magic at 257, and the file. */
function tar(name: string, text: string): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write(text.length.toString(8).padStart(11, '0'), 124);
  head.write('ustar', 257);
  return Buffer.concat([head, Buffer.from(text.padEnd(512, '\0'))]);
}

describe('what is no such file is told by one line', () => {
  const gz = gzipSync(`${HEADER}\n${row({})}\n`.repeat(50));
  test.each<[string, Uint8Array | string, string]>([
    ['a sheet', Buffer.from('PK\u0003\u0004more'), 'Excel'],
    ['an old sheet', Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 1]), 'Excel'],
    ['a page', '<!doctype html><p>Not found', 'web page'],
    ['JSON', ' {"error": "not found"}', 'JSON'],
    ['UTF-16 without a mark', Buffer.from(HEADER, 'utf16le'), 'UTF-16 without its byte order mark'],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x64, 0, 0, 0]), 'UTF-32'],
    ['gzip inside gzip', gzipSync(gz), 'gzip inside gzip'],
    ['a tar archive', tar('prices.csv', `${HEADER}\n${row({})}\n`), 'a tar archive'],
    ['a tar archive under gzip', gzipSync(tar('prices.csv', `${HEADER}\n`)), 'a tar archive'],
    ['a 7-Zip archive', Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4]), '7-Zip'],
    ['a database', 'SQLite format 3\0', 'SQLite'],
    ['a header alone', HEADER, 'no rows below the header'],
    [
      'a header and its tags',
      `${HEADER}\n${HEADER.replaceAll(/(^|,)/g, '$1#')}\n\n`,
      'no rows below the header',
    ],
    ['lines that end in what is no line end', `${HEADER}\u2028${row({})}\u2028`, 'no rows below the header'],
    ['damaged gzip', gz.subarray(0, gz.length - 20), 'truncated or damaged'],
    ['an empty file', '', 'it is empty'],
    ['an empty file under gzip', gzipSync(''), 'it is empty'],
    [
      'another table',
      'date;market;price\n2024-01-01;a;1\n',
      'the header lacks admin1, commodity, unit, currency',
    ],
    ['a table without a header', `${row({})}\n${row({})}\n`, 'the first line has to name the columns'],
    ['a column twice', `${HEADER},Price\n`, 'the header names "price" twice'],
  ])('%s', async (_, file, reason) => {
    const failure: unknown = await rowsOf(file).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'wfp.header' });
    const { message } = failure as Error;
    expect(message).toContain(reason);
    expect(message).not.toContain('\n');
  });

  test('any bytes are rows, reasons or one clear refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (bytes, headed) => {
        const file = headed ? Buffer.concat([Buffer.from(`${HEADER}\n`), bytes]) : bytes;
        try {
          for (const each of await rowsOf(file)) expect(each).toHaveProperty('line');
        } catch (error) {
          expect(error).toMatchObject({ code: 'wfp.header' });
        }
      }),
      { numRuns: 300 },
    );
  });
});
