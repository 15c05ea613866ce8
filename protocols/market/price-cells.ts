import type { Scalar } from '../open-dialog/change.ts';
import { LEAST_PAIRS, LEAST_TRADES } from './cell-minimums.ts';
import {
  CELL_PRICES,
  cellCurrency,
  type CellKind,
  cellName,
  countBand,
  mondayOf,
  twoDigits,
} from './price-kind.ts';
import { MOST_PRICE } from './price-rules.ts';

/**
 * What a node publishes of the prices that its users agreed on, or ask: cells of one kind, commodity, unit, currency, region and ISO
 * week. Each trade is in one cell, each cell is published once and never revised, and one pair of parties moves its median by at
 * most one rank. So there are no two publications to compare, and somebody who knows all other trades of a cell learns at most two
 * significant digits of the last one, and on which side of its neighbours it is.
 */

/** How long a statement from the last moment of a week may still be on its way, milliseconds; later ones are left out. */
export const CLOSE_GRACE_MS = 2 * 86_400_000;
/** Cells are of ISO weeks, milliseconds. */
const WEEK_MS = 7 * 86_400_000;
/** Cells of one kind that a node publishes of one week, all of them in one entry. */
const MOST_CELLS = 250;

/** A price that somebody agreed or asks. */
export interface Quote {
  readonly commodity: string;
  readonly unit: string;
  readonly currency: string;
  readonly price: number;
  /** What counts once in a cell: the pair of parties, or the seller. */
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

/** The name of a pair: the same whichever of the two sold. */
export function pairOf(parties: readonly [string, string]): string {
  return JSON.stringify(parties.toSorted());
}

type Goods = Pick<Cell, 'commodity' | 'unit' | 'currency'>;

/** The contents of a cell. */
interface Behind extends Goods {
  /** Prices by pair or seller. */
  readonly byWhom: Map<string, number[]>;
  trades: number;
  namesNobody: boolean;
}

/** Gathers the quotes of a week by their cells; quotes of another week, and what is not a price, are left out. */
export class WeekQuotes {
  readonly #start: number;
  readonly #cells = new Map<string, Behind>();

  constructor(monday: string) {
    this.#start = Date.parse(monday);
  }

  /** Takes microseconds. */
  add({ commodity, unit, currency, price, by, users, at }: Quote): void {
    if (at < this.#start || at >= this.#start + WEEK_MS || !(price > 0) || price > MOST_PRICE) return;
    const goods = {
      commodity: cellName(commodity),
      unit: cellName(unit),
      currency: cellCurrency(currency),
    };
    const name = nameOf(goods);
    let behind = this.#cells.get(name);
    if (behind === undefined)
      this.#cells.set(
        name,
        (behind = { ...goods, byWhom: new Map(), trades: 0, namesNobody: isPlain(goods) }),
      );
    behind.trades++;
    if (behind.namesNobody) behind.namesNobody = !users.some((user) => names(goods, user));
    const known = behind.byWhom.get(by);
    if (known === undefined) behind.byWhom.set(by, [price]);
    else known.push(price);
  }

  /** The cells that enough lie behind, in the order of their names; whether one is depends on no price. Yields now and then. */
  *cells(leastTrades: number): Generator<void, Cell[]> {
    const cells: Cell[] = [];
    for (const { commodity, unit, currency, byWhom, trades, namesNobody } of this.#cells.values()) {
      yield;
      if (trades < Math.max(leastTrades, LEAST_TRADES) || byWhom.size < LEAST_PAIRS || !namesNobody) continue;
      const each: number[] = [];
      for (const prices of byWhom.values()) {
        each.push(lowerMedian(prices));
        yield;
      }
      const [median, count] = [twoDigits(lowerMedian(each)), countBand(byWhom.size)];
      cells.push({ commodity, unit, currency, median, count });
    }
    return cells
      .sort((a, b) => b.count - a.count || (nameOf(a) < nameOf(b) ? -1 : 1))
      .slice(0, MOST_CELLS)
      .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }
}

function nameOf({ commodity, unit, currency }: Goods): string {
  return JSON.stringify([commodity, unit, currency]);
}

/** Of n in ascending order the one at (n - 1) / 2, rounded down: it is one of them, and one more or less moves it by one rank at most. */
export function lowerMedian(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[(sorted.length - 1) >> 1] ?? NaN;
}

/** Names of goods, and no address, number of a telephone or note. */
function isPlain(goods: Goods): boolean {
  return [goods.commodity, goods.unit, goods.currency].every(
    (text) => /^[\p{L}\p{M}\p{N} .,()/&%'’+-]{1,64}$/u.test(text) && !/\d{5}/.test(text),
  );
}

/** Whether a user's name is among the words of the goods. */
function names({ commodity, unit }: Goods, user: string): boolean {
  const words = wordsOf(user);
  return words !== '  ' && (wordsOf(commodity).includes(words) || wordsOf(unit).includes(words));
}

function wordsOf(text: string): string {
  return ` ${text
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .join(' ')
    .trim()} `;
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
