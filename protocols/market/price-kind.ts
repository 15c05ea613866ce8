import type { Scalar } from '../open-dialog/change.ts';
import { isoDay } from '../wire/iso-time.ts';
import { LEAST_PAIRS } from './cell-minimums.ts';

/**
 * The kind of a price: observed in a market, or a median that a node has published of what its users agreed on, or ask. They are
 * never mixed.
 */
export type PriceKind = 'observed' | CellKind;
export type CellKind = 'traded' | 'asking';

/** How a price is marked as the median of a cell (`price-cells.ts`): by its source, and by its price type, which old clients read. */
export const CELL_PRICES: Readonly<
  Record<CellKind, { readonly source: string; readonly priceType: string }>
> = {
  traded: { source: 'agrinet-trades', priceType: 'Traded' },
  asking: { source: 'agrinet-asking', priceType: 'Asking' },
};

/** The fields of a cell's price, all of them. */
const FIELDS = [
  'admin1',
  'commodity',
  'count',
  'currency',
  'date',
  'market',
  'price',
  'priceType',
  'source',
  'unit',
].join();
const DAY_MS = 86_400_000;

type Fields = Readonly<Record<string, Scalar>>;

/** The kind that a source claims; undefined for any other source. */
export function cellKindOf(source: unknown): CellKind | undefined {
  if (source === CELL_PRICES.traded.source) return 'traded';
  return source === CELL_PRICES.asking.source ? 'asking' : undefined;
}

/** The kind of a price of this owner; undefined for one that claims to be of a cell but is not: it is not counted. */
export function priceKindOf(fields: Fields, owner: string): PriceKind | undefined {
  const kind = cellKindOf(fields['source']);
  if (kind === undefined) return 'observed';
  return isCellPrice(fields, owner) && fields['priceType'] === CELL_PRICES[kind].priceType ? kind : undefined;
}

function isCellPrice(fields: Fields, owner: string): boolean {
  const { market, date, commodity, unit, currency, price, count } = fields;
  return (
    Object.keys(fields).sort().join() === FIELDS &&
    // One node is one market, whatever it calls itself: a median of one node does not pass for one of several.
    market === owner &&
    typeof date === 'string' &&
    isMonday(date) &&
    typeof commodity === 'string' &&
    commodity !== '' &&
    commodity === cellName(commodity) &&
    typeof unit === 'string' &&
    unit !== '' &&
    unit === cellName(unit) &&
    typeof currency === 'string' &&
    currency !== '' &&
    currency === cellCurrency(currency) &&
    typeof price === 'number' &&
    price > 0 &&
    price === twoDigits(price) &&
    typeof count === 'number' &&
    count >= LEAST_PAIRS &&
    count === countBand(count)
  );
}

function isMonday(day: string): boolean {
  const time = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(time) && isoDay(time) === day && mondayOf(time) === day;
}

/** The Monday of a time's ISO week in UTC, YYYY-MM-DD. */
export function mondayOf(ms: number): string {
  const day = Math.floor(ms / DAY_MS);
  return isoDay((day - ((((day + 3) % 7) + 7) % 7)) * DAY_MS);
}

/** A commodity or a unit as cells name it: ASCII letters lower-case, white space evened out. */
export function cellName(text: string): string {
  return evened(text).replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A currency likewise, ASCII letters upper-case. */
export function cellCurrency(text: string): string {
  return evened(text).replaceAll(/[a-z]/g, (letter) => letter.toUpperCase());
}

function evened(text: string): string {
  return text.replaceAll(/[\t-\r ]+/g, ' ').replaceAll(/^ | $/g, '');
}

/** To two significant digits: a median that is somebody's price does not reveal it exactly. */
export function twoDigits(price: number): number {
  return Number(price.toPrecision(2));
}

/**
 * The published number behind a cell: at least 3, 5, 10, 20, 50, 100 and so on. The exact number would reveal one more pair to
 * somebody who knows all others.
 */
export function countBand(count: number): number {
  if (count < 5) return count < LEAST_PAIRS ? 0 : LEAST_PAIRS;
  const power = 10 ** Math.floor(Math.log10(count));
  const [step = 1] = [5, 2, 1].filter((each) => each * power <= count);
  return step * power;
}
