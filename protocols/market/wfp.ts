/**
 * Reads the food price files of the World Food Programme as HDX publishes them.
 *
 * In the wild: with and without a second line of HXL tags, with and without the id columns, dates as M/D/YYYY and as
 * YYYY-MM-DD. No field of these files holds a line break, so a record is a line: that keeps one stray quote from
 * swallowing the good rows after it, and lets a bad row be named by its line number.
 */
import { parse as parseCsv } from 'csv-parse/sync';
import { AgrinetError } from '../errors.ts';
import { readLines } from './lines.ts';
import { isoDay } from '../wire/iso-time.ts';

/** One observed market price: the fields of a `prices` fact. Absent means unknown; numbers are finite. */
export interface Observation {
  /** YYYY-MM-DD, a day that exists. */
  date: string;
  admin1?: string;
  admin2?: string;
  market: string;
  marketId?: string;
  /** Degrees; always together with `longitude`. */
  latitude?: number;
  longitude?: number;
  category?: string;
  commodity: string;
  commodityId?: string;
  unit: string;
  priceFlag?: string;
  priceType: string;
  currency: string;
  price: number;
  usdPrice?: number;
  source: string;
}

/** One row of a file: its price, or why it is not one. `line` counts from 1, the header's line included. */
export type WfpRow = { line: number; price: Observation } | { line: number; error: string };

/** Where each column of this file's dialect stands, and how many there are. */
export interface WfpColumns {
  readonly width: number;
  readonly at: ReadonlyMap<string, number>;
}

const REQUIRED = [
  'date',
  'admin1',
  'market',
  'latitude',
  'longitude',
  'category',
  'commodity',
  'unit',
  'priceflag',
  'pricetype',
  'currency',
  'price',
] as const;

const SOURCE = 'WFP';
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?$/i;
/** What spreadsheets and pandas write where there is no number. */
const NO_NUMBER = new Set(['', 'nan', 'na', 'n/a', 'null', 'none', '-']);

class BadRow extends Error {}

/** The columns of a header line; throws `wfp.header` with everything that is wrong with it in one message. */
export function parseHeader(header: readonly string[]): WfpColumns {
  const names = header.map((name) => name.trim().toLowerCase());
  const at = new Map(names.map((name, index) => [name, index]));
  const missing = REQUIRED.filter((name) => !at.has(name));
  if (missing.length > 0) {
    throw new AgrinetError('wfp.header', `not a WFP price file: the header lacks ${missing.join(', ')}`, {
      details: { missing },
    });
  }
  const twice = names.filter((name, index) => at.get(name) !== index);
  if (twice.length > 0) {
    throw new AgrinetError(
      'wfp.header',
      `the header names ${[...new Set(twice)].map(quote).join(', ')} twice`,
    );
  }
  return { width: names.length, at };
}

/** One record as an observation, or the reason why it is not one. */
export function parseRow(record: readonly string[], columns: WfpColumns): Observation | { error: string } {
  if (record.length !== columns.width) {
    return { error: `${record.length} columns where the header has ${columns.width}` };
  }
  try {
    return observation((name) => {
      const index = columns.at.get(name);
      return index === undefined ? '' : (record[index] ?? '').trim().normalize('NFC');
    });
  } catch (error) {
    if (error instanceof BadRow) return { error: error.message };
    throw error;
  }
}

/**
 * The rows of a file, in its order, one line in memory at a time. A bad row is yielded with its reason and reading goes
 * on; a file that is no WFP price file throws `wfp.header`.
 */
export async function* readWfp(source: AsyncIterable<Uint8Array | string>): AsyncGenerator<WfpRow> {
  let columns: WfpColumns | undefined;
  let headerLine = 0;
  for await (const { line, text, tooLong } of readLines(source)) {
    if (!tooLong && text.trim() === '') continue;
    const record = tooLong ? { error: 'the line is too long' } : splitLine(text);
    if (columns === undefined) {
      if ('error' in record) throw new AgrinetError('wfp.header', `not a WFP price file: ${record.error}`);
      columns = parseHeader(record);
      headerLine = line;
    } else if ('error' in record) {
      yield { line, error: record.error };
    } else if (line === headerLine + 1 && record[columns.at.get('date') ?? 0]?.trim().startsWith('#')) {
      // The HXL tags (#date, #adm1+name, ...) of the other dialect: no row, and no error.
    } else {
      const price = parseRow(record, columns);
      yield 'error' in price ? { line, error: price.error } : { line, price };
    }
  }
  if (columns === undefined) throw new AgrinetError('wfp.header', 'not a WFP price file: it is empty');
}

function splitLine(text: string): string[] | { error: string } {
  if (text.includes('\uFFFD')) return { error: 'the line is not valid UTF-8' };
  if (text.includes('\0')) return { error: 'the line holds a NUL character' };
  // Without a quote RFC 4180 leaves nothing to parse; setting the parser up per line would cost ten times as much.
  if (!text.includes('"')) return text.split(',');
  try {
    const [record] = parseCsv(text, { relax_column_count: true });
    return record ?? [];
  } catch {
    return { error: 'the quotes of the line do not match' };
  }
}

function observation(cell: (name: string) => string): Observation {
  const latitude = coordinate(cell('latitude'), 'latitude', 90);
  const longitude = coordinate(cell('longitude'), 'longitude', 180);
  if ((latitude === undefined) !== (longitude === undefined)) {
    throw new BadRow('one coordinate without the other');
  }
  const price = number(cell('price'), 'price');
  if (price === undefined) throw new BadRow('missing price');
  const usdPrice = number(cell('usdprice'), 'usdprice');
  return {
    date: date(cell('date')),
    ...optional('admin1', cell('admin1')),
    ...optional('admin2', cell('admin2')),
    market: required(cell('market'), 'market'),
    ...optional('marketId', cell('market_id')),
    ...(latitude === undefined || longitude === undefined ? {} : { latitude, longitude }),
    ...optional('category', cell('category')),
    commodity: required(cell('commodity'), 'commodity'),
    ...optional('commodityId', cell('commodity_id')),
    unit: required(cell('unit'), 'unit'),
    ...optional('priceFlag', cell('priceflag')),
    priceType: required(cell('pricetype'), 'pricetype'),
    currency: required(cell('currency'), 'currency'),
    price,
    ...(usdPrice === undefined ? {} : { usdPrice }),
    source: SOURCE,
  };
}

function optional<K extends string>(name: K, value: string): { [key in K]?: string } {
  return value === '' ? {} : ({ [name]: value } as { [key in K]: string });
}

function required(value: string, name: string): string {
  if (value === '') throw new BadRow(`missing ${name}`);
  return value;
}

function number(text: string, name: string): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  const value = Number(text);
  if (!NUMBER.test(text) || !Number.isFinite(value))
    throw new BadRow(`${name} is not a number: ${quote(text)}`);
  if (value < 0) throw new BadRow(`negative ${name}: ${text}`);
  return value;
}

function coordinate(text: string, name: string, limit: number): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  const value = Number(text);
  if (!NUMBER.test(text) || Math.abs(value) > limit) throw new BadRow(`bad ${name}: ${quote(text)}`);
  return value;
}

/** M/D/YYYY or YYYY-MM-DD, as YYYY-MM-DD; nothing is guessed, so a D/M/YYYY file fails on its first 13th. */
function date(text: string): string {
  if (text === '') throw new BadRow('missing date');
  const iso = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  const us = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
  const [year, month, day] = iso ? [iso[1], iso[2], iso[3]] : us ? [us[3], us[1], us[2]] : [];
  if (year === undefined || month === undefined || day === undefined) {
    throw new BadRow(`date is neither M/D/YYYY nor YYYY-MM-DD: ${quote(text)}`);
  }
  const normal = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  const time = Date.parse(`${normal}T00:00:00Z`);
  // JavaScript rolls 31 June over into July; a date that does not come back as it went in does not exist.
  if (Number.isNaN(time) || isoDay(time) !== normal) {
    throw new BadRow(`no such date: ${quote(text)}`);
  }
  return normal;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
