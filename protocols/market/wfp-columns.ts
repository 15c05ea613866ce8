import { AgrinetError } from '../errors.ts';

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
export type Column = keyof typeof NAMES;

/** Without these a row is no price of a place. */
const REQUIRED = ['date', 'admin1', 'market', 'commodity', 'unit', 'currency', 'price'] as const;

/** Where each column of a file stands, and how many there are. */
export interface WfpColumns {
  readonly width: number;
  readonly at: ReadonlyMap<Column, number>;
}

const columnOf = new Map<string, Column>(
  Object.entries(NAMES).flatMap(([column, names]) => names.map((name) => [name, column as Column] as const)), // keys of NAMES
);

/** The columns of a header line; throws `wfp.header` with everything that is wrong with it in one message. */
export function parseHeader(header: readonly string[]): WfpColumns {
  const at = new Map<Column, number>();
  const twice = new Set<string>();
  for (const [index, cell] of header.entries()) {
    const name = cell.trim().toLowerCase();
    const column = columnOf.get(name);
    if (column === undefined) continue;
    if (at.has(column)) twice.add(name);
    else at.set(column, index);
  }
  const missing = REQUIRED.filter((name) => !at.has(name));
  if (missing.length > 0) {
    const shown = header.map((cell) => cell.trim()).join(', ');
    throw new AgrinetError(
      'wfp.header',
      `not a WFP price file: the header lacks ${missing.join(', ')} (it is ${quote(shown)}; the first line has to name the columns)`,
      { details: { missing } },
    );
  }
  if (twice.size > 0)
    throw new AgrinetError(
      'wfp.header',
      `the header names ${[...twice].map(quote).join(', ')} twice; remove one of the columns`,
    );
  return { width: header.length, at };
}

const DELIMITERS = [',', ';', '\t', '|'] as const;
export type Delimiter = (typeof DELIMITERS)[number];

/** The delimiter under which a header line names the most of the columns. */
export function delimiterOf(header: string): Delimiter {
  const known = (delimiter: Delimiter): number =>
    header.split(delimiter).filter((cell) => columnOf.has(cell.replaceAll('"', '').trim().toLowerCase()))
      .length;
  return DELIMITERS.reduce((best, each) => (known(each) > known(best) ? each : best));
}

function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
