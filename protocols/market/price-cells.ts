import type { Scalar } from '../open-dialog/change.ts';
import {
  CELL_PRICES,
  cellCurrency,
  type CellKind,
  cellName,
  countBand,
  LEAST_PAIRS,
  mondayOf,
  twoDigits,
} from './price-kind.ts';
import { MOST_PRICE } from './price-rules.ts';

/**
 * What a node tells of the prices that its users agreed, or ask: cells of one kind, commodity, unit, currency, region and ISO week. Each
 * trade is in one cell, each cell is published once and never revised, and one pair of parties moves its median by one rank at most. So
 * there are no two publications to take the difference of, and who knows all other trades of a cell learns of the last one no more than
 * two significant digits, and on which side of its neighbours it lies.
 */

/** Trades, or listings, behind a cell: never fewer, whatever is set. */
export const LEAST_TRADES = 5;
/** How long a statement from the last moment of a week may still be on its way, milliseconds; later ones are left out. */
export const CLOSE_GRACE_MS = 2 * 86_400_000;
/** Cells are of ISO weeks, milliseconds. */
const WEEK_MS = 7 * 86_400_000;
/** Cells of one kind that a node publishes of one week, all of them in one entry. */
const MOST_CELLS = 500;

/** A price that somebody agreed or asks. */
export interface Quote {
  readonly commodity: string;
  readonly unit: string;
  readonly currency: string;
  readonly price: number;
  /** Who counts once in a cell: the pair of parties, or the seller. */
  readonly by: string;
  /** Users behind it: nothing that is published may hold their names. */
  readonly users: readonly string[];
  /** When it was settled, or listed, milliseconds since 1970. */
  readonly at: number;
}

/** A cell that may be published. */
export interface Cell {
  readonly commodity: string;
  readonly unit: string;
  readonly currency: string;
  /** The lower median of those that count once, each at its own lower median, to two significant digits. */
  readonly median: number;
  /** At least so many of them. */
  readonly count: number;
}

/** The Monday of the newest week that is closed: its trades are settled, and what was on its way has had its time. */
export function newestClosedWeek(now: number): string {
  return mondayOf(now - CLOSE_GRACE_MS - WEEK_MS);
}

/** When a week is closed, milliseconds since 1970. */
export function closesAt(monday: string): number {
  return Date.parse(monday) + WEEK_MS + CLOSE_GRACE_MS;
}

/** The name of a pair: the same whoever of the two sold. */
export function pairOf(parties: readonly [string, string]): string {
  return JSON.stringify(parties.toSorted());
}

/** The cells of a week that enough lie behind, in the order of their names; whether one is depends on no price. */
export function cellsOf(quotes: Iterable<Quote>, monday: string, leastTrades: number): Cell[] {
  const cells = new Map<string, Quote[]>();
  const start = Date.parse(monday);
  for (const quote of quotes) {
    if (quote.at < start || quote.at >= start + WEEK_MS) continue;
    if (!(quote.price > 0) || quote.price > MOST_PRICE) continue;
    const name = JSON.stringify([
      cellName(quote.commodity),
      cellName(quote.unit),
      cellCurrency(quote.currency),
    ]);
    const known = cells.get(name);
    if (known === undefined) cells.set(name, [quote]);
    else known.push(quote);
  }
  return [...cells]
    .flatMap(([name, all]) => cellOf(name, all, Math.max(leastTrades, LEAST_TRADES)) ?? [])
    .sort((a, b) => b.count - a.count || (nameOf(a) < nameOf(b) ? -1 : 1))
    .slice(0, MOST_CELLS)
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

function nameOf({ commodity, unit, currency }: Cell): string {
  return JSON.stringify([commodity, unit, currency]);
}

function cellOf(name: string, all: readonly Quote[], leastTrades: number): Cell | undefined {
  const [commodity = '', unit = '', currency = ''] = JSON.parse(name) as string[]; // made above
  const byWhom = Map.groupBy(all, ({ by }) => by);
  if (all.length < leastTrades || byWhom.size < LEAST_PAIRS) return undefined;
  if (!isPlain(commodity) || !isPlain(unit) || !isPlain(currency)) return undefined;
  if (all.some(({ users }) => users.some((user) => names(commodity, user) || names(unit, user))))
    return undefined;
  const each = [...byWhom.values()].map((quotes) => lowerMedian(quotes.map(({ price }) => price)));
  return { commodity, unit, currency, median: twoDigits(lowerMedian(each)), count: countBand(byWhom.size) };
}

/** Of n in ascending order the one at (n - 1) / 2, rounded down: it is one of them, and one more or less moves it by one rank at most. */
export function lowerMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? NaN;
}

/** The name of goods, and no address, number of a telephone or note. */
function isPlain(text: string): boolean {
  return /^[\p{L}\p{M}\p{N} .,()/&%'’+-]{1,64}$/u.test(text) && !/\d{5}/.test(text);
}

/** Whether a text has a user's name among its words. */
function names(text: string, user: string): boolean {
  const words = (some: string): string =>
    ` ${some
      .toLowerCase()
      .split(/[^\p{L}\p{M}\p{N}]+/u)
      .join(' ')
      .trim()} `;
  return words(user).trim() !== '' && words(text).includes(words(user));
}

/** The fields of the price that a cell is published as. */
export function cellPrice(
  kind: CellKind,
  { commodity, unit, currency, median, count }: Cell,
  from: { readonly node: string; readonly region: string; readonly monday: string },
): Readonly<Record<string, Scalar>> {
  const { source, priceType } = CELL_PRICES[kind];
  const place = { admin1: from.region, market: from.node, date: from.monday };
  return { ...place, commodity, unit, currency, price: median, count, priceType, source };
}
