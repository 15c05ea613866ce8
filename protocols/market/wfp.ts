/**
 * Reads the food price files of the World Food Programme as HDX publishes them, and as spreadsheets save them again.
 *
 * In the wild: with and without a second line of HXL tags, the id columns, an index column and `priceflag`; dates as M/D/YYYY and as
 * YYYY-MM-DD; commas, semicolons or tabs; every encoding and line end that Excel writes. A record is a line unless a quoted
 * field goes on in the next ones: so one stray quote does not swallow the good rows after it, and a bad row is named by its line.
 */
import type { Offload } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { decimalOf, hasDecimalComma } from './csv-numbers.ts';
import { CsvRecords } from './csv-records.ts';
import { textOf } from './file-text.ts';
import { readLines } from './lines.ts';
import { type Column, delimiterOf, parseHeader, type WfpColumns } from './wfp-columns.ts';
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

const SOURCE = 'WFP';
/** The price type of a file that does not say which: the old ones have the flag in its column. */
export const NO_PRICE_TYPE = 'unspecified';
const FLAGS = /^(actual|aggregate|forecast)([,;] *(actual|aggregate|forecast))*$/i;
/** In the oldest files the type stands behind the commodity. */
const TYPED = /^(.*\S) +- +(Retail|Wholesale|Producer|Farm Gate)$/i;
/** What spreadsheets and pandas write where there is no number. */
const NO_NUMBER = new Set(['', 'nan', 'na', 'n/a', 'null', 'none', '-']);

class BadRow extends Error {}

/** One record as an observation, or the reason why it is not one. */
export function parseRow(record: readonly string[], columns: WfpColumns): Observation | { error: string } {
  // R writes the names of rows without a name for their column: one cell more, and the first a number.
  const shift = record.length === columns.width + 1 && /^\d+$/.test(record[0]?.trim() ?? '') ? 1 : 0;
  if (record.length !== columns.width + shift) {
    return { error: `${record.length} columns where the header has ${columns.width}` };
  }
  try {
    return observation((name) => {
      const index = columns.at.get(name);
      return index === undefined ? '' : (record[index + shift] ?? '').trim().normalize('NFC');
    });
  } catch (error) {
    if (error instanceof BadRow) return { error: error.message };
    throw error;
  }
}

/**
 * The rows of a file, in its order, a few lines in memory at a time. A bad row is yielded with its reason and reading goes
 * on; a file that is no WFP price file throws `wfp.header`.
 */
export async function* readWfp(
  source: AsyncIterable<Uint8Array | string>,
  offload: Pick<Offload, 'gunzip'>,
): AsyncGenerator<WfpRow> {
  const records = new CsvRecords(readLines(textOf(source, offload)));
  const columns = await headerOf(records);
  const hxl = (record: readonly string[]): boolean =>
    record[columns.at.get('date') ?? 0]?.trim().startsWith('#') === true;
  let first = true;
  let rows = 0;
  for (let next = await records.next(columns.width); next !== undefined;) {
    const { line } = next;
    // The HXL tags (#date, #adm1+name, ...) below the header: no row, and no error.
    const isRow = !first || 'error' in next || !hxl(next.cells);
    if (isRow) rows += 1;
    if ('error' in next) yield { line, error: next.error };
    else if (isRow) {
      const price = parseRow(next.cells, columns);
      yield 'error' in price ? { line, error: price.error } : { line, price };
    }
    first = false;
    next = await records.next(columns.width);
  }
  if (rows === 0)
    throw new AgrinetError('wfp.header', 'not a WFP price file: there are no rows below the header');
}

async function headerOf(records: CsvRecords): Promise<WfpColumns> {
  const header = await records.header(delimiterOf);
  if (header === undefined) throw new AgrinetError('wfp.header', 'not a WFP price file: it is empty');
  if ('error' in header) throw new AgrinetError('wfp.header', `not a WFP price file: ${header.error}`);
  return parseHeader(header.cells);
}

function observation(cell: (name: Column) => string): Observation {
  const numbers = (['price', 'usdprice', 'latitude', 'longitude'] as const).map(cell);
  const commas = hasDecimalComma(numbers);
  const latitude = coordinate(cell('latitude'), 'latitude', 90);
  const longitude = coordinate(cell('longitude'), 'longitude', 180);
  if ((latitude === undefined) !== (longitude === undefined)) {
    throw new BadRow('one coordinate without the other');
  }
  const price = number(cell('price'), 'price', commas);
  if (price === undefined) throw new BadRow('missing price');
  const usdPrice = number(cell('usdprice'), 'usdprice', commas);
  return {
    date: date(cell('date')),
    ...optional('admin1', cell('admin1')),
    ...optional('admin2', cell('admin2')),
    market: required(cell('market'), 'market'),
    ...optional('marketId', cell('market_id')),
    ...(latitude === undefined || longitude === undefined ? {} : { latitude, longitude }),
    ...optional('category', cell('category')),
    ...optional('commodityId', cell('commodity_id')),
    unit: required(cell('unit'), 'unit'),
    ...typed(required(cell('commodity'), 'commodity'), cell('pricetype'), cell('priceflag')),
    currency: required(cell('currency'), 'currency'),
    price,
    ...(usdPrice === undefined ? {} : { usdPrice }),
    source: SOURCE,
  };
}

/** Commodity, flag and type, which have changed their columns. */
function typed(
  commodity: string,
  type: string,
  flag: string,
): Pick<Observation, 'commodity' | 'priceFlag' | 'priceType'> {
  // In the files of 2020 and 2021 the flag stands where the type is now.
  const misplaced = flag === '' && FLAGS.test(type);
  const named = misplaced ? '' : type;
  const [, bare, suffix] = named === '' ? (TYPED.exec(commodity) ?? []) : [];
  return {
    commodity: bare ?? commodity,
    ...optional('priceFlag', misplaced ? type : flag),
    priceType: named || (suffix ?? NO_PRICE_TYPE),
  };
}

function optional<K extends string>(name: K, value: string): { [key in K]?: string } {
  return value === '' ? {} : ({ [name]: value } as { [key in K]: string });
}

function required(value: string, name: string): string {
  if (value === '') throw new BadRow(`missing ${name}`);
  return value;
}

function number(text: string, name: string, commas: boolean): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  const value = decimalOf(text, commas);
  if (typeof value === 'string') throw new BadRow(`${name} ${value}: ${quote(text)}`);
  if (value < 0) throw new BadRow(`negative ${name}: ${text}`);
  return value;
}

function coordinate(text: string, name: string, limit: number): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  // No degree has thousands: a comma is a decimal one.
  const value = decimalOf(text.replace(/^([+-]?\d{1,3}),(\d+)$/, '$1.$2'), false);
  if (typeof value === 'string' || Math.abs(value) > limit) throw new BadRow(`bad ${name}: ${quote(text)}`);
  return value;
}

/** M/D/YYYY or YYYY-MM-DD, as YYYY-MM-DD; nothing is guessed, so a D/M/YYYY file fails on its first 13th. */
function date(text: string): string {
  if (text === '') throw new BadRow('missing date');
  // Spreadsheets and pandas add a midnight.
  const iso = /^(\d{4})([-/])(\d{2})\2(\d{2})([T ]00:00(:00(\.0+)?)?(Z|\+00:00)?)?$/.exec(text);
  const us = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
  const [year, month, day] = iso ? [iso[1], iso[3], iso[4]] : us ? [us[3], us[1], us[2]] : [];
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
