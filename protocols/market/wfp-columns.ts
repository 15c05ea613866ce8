import { AgrinetError } from '../errors.ts';
import { type ColumnPlaces, CsvColumns, quoted } from './csv-columns.ts';

/** The columns that are read, each with the names it has had in WFP's files. Others (an index, ids of units) are passed over. */
const NAMES = {
  date: ['date'],
  admin1: ['admin1', 'adm1name', 'admname', 'adm1_name'],
  admin2: ['admin2', 'adm2name', 'adm2_name'],
  market: ['market', 'mktname', 'mkt_name'],
  market_id: ['market_id', 'mktid', 'mkt_id'],
  latitude: ['latitude', 'lat'],
  longitude: ['longitude', 'lon'],
  category: ['category'],
  commodity: ['commodity', 'cmname', 'cm_name'],
  commodity_id: ['commodity_id', 'cmid', 'cm_id'],
  unit: ['unit', 'um_name'],
  priceflag: ['priceflag'],
  pricetype: ['pricetype', 'pt_name'],
  currency: ['currency', 'cur_name'],
  price: ['price'],
  usdprice: ['usdprice'],
} as const;
export type WfpColumn = keyof typeof NAMES;
export type WfpColumns = ColumnPlaces<WfpColumn>;

export const WFP_COLUMNS = new CsvColumns(
  Object.entries(NAMES) as [WfpColumn, readonly string[]][], // the keys of a constant
);

/** Without these a row is not a price of a place. */
const REQUIRED = ['date', 'admin1', 'market', 'commodity', 'unit', 'currency', 'price'] as const;

/** The columns of a header line; throws `wfp.header` with everything that is wrong with it in one message. */
export function wfpColumnsOf(header: readonly string[]): WfpColumns {
  const { twice, ...columns } = WFP_COLUMNS.placesIn(header);
  const missing = REQUIRED.filter((name) => !columns.at.has(name));
  if (missing.length > 0) {
    const shown = header.map((cell) => cell.trim()).join(', ');
    throw new AgrinetError(
      'wfp.header',
      `not a WFP price file: the header lacks ${missing.join(', ')} (it is ${quoted(shown, 120)}; the first line has to name the columns)`,
      { details: { missing } },
    );
  }
  if (twice.length > 0)
    throw new AgrinetError(
      'wfp.header',
      `the header names ${twice.map((name) => quoted(name)).join(', ')} twice; remove one of the columns`,
    );
  return columns;
}
