/**
 * Reads the food price files of the World Food Programme as HDX publishes them, and as spreadsheets save them again.
 *
 * In the wild: with and without a second line of HXL tags, the id columns, an index column and `priceflag`; dates as M/D/YYYY and as
 * YYYY-MM-DD; commas, semicolons or tabs; every encoding and line end that Excel writes. A record is a line unless a quoted
 * field goes on in the next ones: so one stray quote does not swallow the good rows after it, and a bad row is named by its line.
 */
import type { Offload } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { coordinateIn, numberIn, optional, required } from './csv-cells.ts';
import { BadRow, type Cell, delimiterOf, quoted, rowOf } from './csv-columns.ts';
import { hasDecimalComma } from './csv-numbers.ts';
import { CsvRecords } from './csv-records.ts';
import { textOf } from './file-text.ts';
import { readLines } from './lines.ts';
import { WFP_COLUMNS, type WfpColumn, wfpColumnsOf } from './wfp-columns.ts';
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
/** In the oldest files the type follows the commodity. */
const TYPED = /^(.*\S) +- +(Retail|Wholesale|Producer|Farm Gate)$/i;
/**
 * The rows of a price file below its header, in their order, a few lines in memory at a time. A bad row is yielded with its reason
 * and reading continues. Throws `wfp.header` for a header that is not that of a price file, and where no row follows it.
 */
export async function* wfpRows(records: CsvRecords, header: readonly string[]): AsyncGenerator<WfpRow> {
  const columns = wfpColumnsOf(header);
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
      const price = rowOf(next.cells, columns, observation);
      yield 'error' in price ? { line, error: price.error } : { line, price: price.value };
    }
    first = false;
    next = await records.next(columns.width);
  }
  if (rows === 0)
    throw new AgrinetError('wfp.header', 'not a WFP price file: there are no rows below the header');
}

/** The rows of a file that has to be a price file. */
export async function* readWfp(
  source: AsyncIterable<Uint8Array | string>,
  offload: Pick<Offload, 'gunzip'>,
): AsyncGenerator<WfpRow> {
  const records = new CsvRecords(readLines(textOf(source, offload)));
  const header = await records.header((line) => delimiterOf(line, [WFP_COLUMNS]));
  if (header === undefined) throw new AgrinetError('wfp.header', 'not a WFP price file: it is empty');
  if ('error' in header) throw new AgrinetError('wfp.header', `not a WFP price file: ${header.error}`);
  yield* wfpRows(records, header.cells);
}

function observation(cell: Cell<WfpColumn>): Observation {
  const numbers = (['price', 'usdprice', 'latitude', 'longitude'] as const).map(cell);
  const commas = hasDecimalComma(numbers);
  const latitude = coordinateIn(cell('latitude'), 'latitude', 90);
  const longitude = coordinateIn(cell('longitude'), 'longitude', 180);
  if ((latitude === undefined) !== (longitude === undefined)) {
    throw new BadRow('one coordinate without the other');
  }
  const price = numberIn(cell('price'), 'price', commas);
  if (price === undefined) throw new BadRow('missing price');
  const usdPrice = numberIn(cell('usdprice'), 'usdprice', commas);
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
  // In the files of 2020 and 2021 the flag is in the column of the type.
  const misplaced = flag === '' && FLAGS.test(type);
  const named = misplaced ? '' : type;
  const [, bare, suffix] = named === '' ? (TYPED.exec(commodity) ?? []) : [];
  return {
    commodity: bare ?? commodity,
    ...optional('priceFlag', misplaced ? type : flag),
    priceType: named || (suffix ?? NO_PRICE_TYPE),
  };
}

/** M/D/YYYY or YYYY-MM-DD, as YYYY-MM-DD; nothing is guessed, so a D/M/YYYY file fails on its first 13th. */
function date(text: string): string {
  if (text === '') throw new BadRow('missing date');
  // Spreadsheets and pandas add a midnight.
  const iso = /^(\d{4})([-/])(\d{2})\2(\d{2})([T ]00:00(:00(\.0+)?)?(Z|\+00:00)?)?$/.exec(text);
  const us = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
  const [year, month, day] = iso ? [iso[1], iso[3], iso[4]] : us ? [us[3], us[1], us[2]] : [];
  if (year === undefined || month === undefined || day === undefined) {
    throw new BadRow(`date is neither M/D/YYYY nor YYYY-MM-DD: ${quoted(text)}`);
  }
  const normal = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  const time = Date.parse(`${normal}T00:00:00Z`);
  // JavaScript turns 31 June into 1 July; a date that changes when parsed does not exist.
  if (Number.isNaN(time) || isoDay(time) !== normal) {
    throw new BadRow(`no such date: ${quoted(text)}`);
  }
  return normal;
}
