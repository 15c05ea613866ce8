import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Cell,
  closesAt,
  lowerMedian,
  newestClosedWeek,
  pairOf,
  type Quote,
} from '../../../protocols/market/price-cells.ts';
import { cellsOf } from '../../support/cells-of.ts';
import { LEAST_PAIRS, LEAST_TRADES } from '../../../protocols/market/cell-minimums.ts';
import { countBand, mondayOf, twoDigits } from '../../../protocols/market/price-kind.ts';

const MONDAY = '2026-11-16';
const DAY = 86_400_000;
const START = Date.parse(MONDAY);
const quote = (over: Partial<Quote> = {}): Quote => ({
  commodity: 'Maize',
  unit: '90 KG',
  currency: 'KES',
  price: 4000,
  by: 'a/b',
  users: ['amina', 'baraka'],
  at: START + DAY,
  ...over,
});
/** So many trades of so many pairs, at rising prices. */
const trades = (count: number, pairs: number, over: Partial<Quote> = {}): Quote[] =>
  Array.from({ length: count }, (_, i) => quote({ by: `pair ${i % pairs}`, price: 100 + i, ...over }));

describe('the cells of a week', () => {
  it('need five trades of three pairs, whatever smaller number is asked for', () => {
    expect(cellsOf(trades(4, 3), MONDAY, 1)).toEqual([]);
    expect(cellsOf(trades(400, 2), MONDAY, 1)).toEqual([]);
    expect(cellsOf(trades(5, 3), MONDAY, 1)).toHaveLength(1);
    expect(cellsOf(trades(5, 3), MONDAY, 6)).toEqual([]);
    expect(cellsOf(trades(6, 3), MONDAY, 6)).toHaveLength(1);
  });

  it('are of one commodity, unit and currency, however these are spelled, and of nothing else', () => {
    const spelled = [
      ...trades(3, 3),
      ...trades(3, 3, { commodity: ' MAIZE', unit: '90  kg', currency: 'kes' }),
    ];
    expect(cellsOf(spelled, MONDAY, 5)).toEqual([
      { commodity: 'maize', unit: '90 kg', currency: 'KES', median: 100, count: 3 },
    ]);
    for (const over of [{ commodity: 'maize white' }, { unit: 'KG' }, { currency: 'UGX' }])
      expect(cellsOf([...trades(3, 3), ...trades(3, 3, over)], MONDAY, 5)).toEqual([]);
  });

  it('are of trades settled from Monday to Sunday in UTC, each in one week', () => {
    const times = [START, START + 7 * DAY - 1];
    const within = times.flatMap((at) => trades(3, 3, { at }));
    expect(cellsOf(within, MONDAY, 5)).toHaveLength(1);
    for (const at of [START - 1, START + 7 * DAY])
      expect(cellsOf([...trades(4, 4), ...trades(9, 9, { at })], MONDAY, 5)).toEqual([]);
  });

  it('tell of a pair once, at its own lower median', () => {
    const one = [10, 30, 900].map((price) => quote({ by: 'one', price }));
    const others = ['two', 'three'].flatMap((by) => [quote({ by, price: 20 })]);
    expect(cellsOf([...one, ...others], MONDAY, 5)).toMatchObject([{ median: 20, count: 3 }]);
    const bought = Array.from({ length: 1000 }, () => quote({ by: 'one', price: 9999 }));
    expect(cellsOf([...bought, ...others], MONDAY, 5)).toMatchObject([{ median: 20, count: 3 }]);
  });

  it('take a pair for one whoever of the two sold', () => {
    expect(pairOf(['amina@x', 'baraka@y'])).toBe(pairOf(['baraka@y', 'amina@x']));
    expect(pairOf(['a', 'b","c'])).not.toBe(pairOf(['a","b', 'c']));
  });

  it('are none where the name of the goods is no plain name, or has a user in it', () => {
    for (const commodity of [
      'Maize, call 0712345678',
      'maize@amina',
      'x'.repeat(65),
      "Amina's maize",
      'maize AMINA',
    ])
      expect(cellsOf(trades(9, 9, { commodity }), MONDAY, 5), commodity).toEqual([]);
    expect(cellsOf(trades(9, 9, { unit: 'amina bag' }), MONDAY, 5)).toEqual([]);
    expect(cellsOf(trades(9, 9, { commodity: "ng'ombe (mwanamina)" }), MONDAY, 5)).toHaveLength(1);
  });

  it('leave out what is no price', () => {
    for (const price of [0, -1, NaN, Infinity, 2e15])
      expect(cellsOf([...trades(4, 4), quote({ by: 'x', price })], MONDAY, 5)).toEqual([]);
  });

  it('close two days after their Sunday', () => {
    expect(closesAt(MONDAY)).toBe(Date.parse('2026-11-25'));
    expect(newestClosedWeek(closesAt(MONDAY))).toBe(MONDAY);
    expect(newestClosedWeek(closesAt(MONDAY) - 1)).toBe('2026-11-09');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) }), (now) => {
        const week = newestClosedWeek(now);
        expect(new Date(week).getUTCDay()).toBe(1);
        expect(closesAt(week)).toBeLessThanOrEqual(now);
        expect(closesAt(week) + 7 * DAY).toBeGreaterThan(now);
      }),
    );
  });

  it('say how many in bands of 1, 2 and 5', () => {
    const bands = [0, 2, 3, 4, 5, 9, 10, 19, 20, 49, 50, 99, 100, 199, 999, 1000].map(countBand);
    expect(bands).toEqual([0, 0, 3, 3, 5, 5, 10, 10, 20, 20, 50, 50, 100, 100, 500, 1000]);
  });
});

/** The price of each pair as it counts. */
const perPair = (all: readonly Quote[]): number[] =>
  [...Map.groupBy(all, ({ by }) => by).values()].map((some) => lowerMedian(some.map(({ price }) => price)));
const price = fc.integer({ min: 1, max: 5_000_000 }).map((cents) => cents / 100);
const anyQuote = fc
  .record({ pair: fc.nat(7), price })
  .map((one) => quote({ by: `pair ${one.pair}`, price: one.price }));

describe('a median', () => {
  it('is moved by one rank at most by all that a pair trades', () => {
    fc.assert(
      fc.property(
        fc.array(anyQuote, { minLength: 8, maxLength: 40 }),
        fc.array(price, { minLength: 1, maxLength: 30 }),
        (all, bought) => {
          const before = perPair(all).sort((a, b) => a - b);
          const rank = (before.length - 1) >> 1;
          const after = [...all, ...bought.map((each) => quote({ by: 'buyer of ranks', price: each }))];
          const median = lowerMedian(perPair(after));
          expect(median).toBeGreaterThanOrEqual(before[Math.max(0, rank - 1)] ?? NaN);
          expect(median).toBeLessThanOrEqual(before[rank + 1] ?? Infinity);
        },
      ),
    );
  });
});

interface Trade extends Quote {
  /** The supplier's node, and when it knew that the trade was settled. */
  readonly node: number;
  readonly known: number;
}
/** All that nodes publish of these trades, in order. */
type Publish = (trades: readonly Trade[]) => unknown;

const WEEKS = [MONDAY, '2026-11-23', '2026-11-30'] as const;
const NODES = [0, 1] as const;
const history: fc.Arbitrary<Trade[]> = fc
  .array(
    fc.record({
      node: fc.constantFrom(0, 0, 1),
      week: fc.nat(WEEKS.length - 1),
      pair: fc.nat(5),
      good: fc.constantFrom('maize', 'maize', 'beans'),
      cents: fc.integer({ min: 1000, max: 99_999 }),
      day: fc.nat(6),
      late: fc.constantFrom(0, 0, 0, 1, 3, 12),
    }),
    { minLength: 20, maxLength: 70 },
  )
  .map((all) =>
    all.map(({ node, week, pair, good, cents, day, late }) => {
      const at = START + (7 * week + day) * DAY;
      const one = quote({ by: `pair ${pair}`, commodity: good, price: cents / 100, at });
      return { ...one, node, known: at + late * DAY };
    }),
  );

const cents = (trades: readonly Quote[]): number =>
  trades.reduce((sum, { price: each }) => sum + Math.round(each * 100), 0);
const eachCell = (
  trades: readonly Trade[],
  tell: (name: string, all: readonly Trade[]) => unknown,
): unknown[] =>
  [...Map.groupBy(trades, ({ node, commodity, at }) => `${node} ${commodity} ${mondayOf(at)}`)].map(
    ([name, all]) => (all.length < LEAST_TRADES ? name : tell(name, all)),
  );

/** The rule: once for each node and week, when that is closed, of what is known by then. */
const byTheRule = (trades: readonly Trade[]): Cell[][] =>
  NODES.flatMap((node) =>
    WEEKS.map((week) =>
      cellsOf(
        trades.filter((each) => each.node === node && each.known <= closesAt(week)),
        week,
        LEAST_TRADES,
      ),
    ),
  );

/** Without a bound of the rule, one at a time. */
const NAIVE: readonly (readonly [string, Publish])[] = [
  [
    'are revised each day, with count and mean',
    (trades) =>
      Array.from({ length: 40 }, (_, day) =>
        eachCell(
          trades.filter(({ known }) => known <= START + day * DAY),
          (name, all) => [name, all.length, cents(all)],
        ),
      ),
  ],
  ['tell a sum instead of a median', (trades) => eachCell(trades, (name, all) => [name, cents(all)])],
  [
    'tell medians to the cent',
    (trades) => eachCell(trades, (name, all) => [name, lowerMedian(perPair(all))]),
  ],
  [
    'are published again after a restore, with what has come since',
    (trades) => [byTheRule(trades), byTheRule(trades.map((each) => ({ ...each, known: each.at })))],
  ],
  [
    'overlap: each day the seven days before',
    (trades) =>
      Array.from({ length: 21 }, (_, day) =>
        cellsOf(
          trades.map((each) => ({ ...each, at: each.at - day * DAY })),
          MONDAY,
          LEAST_TRADES,
        ),
      ),
  ],
];

/**
 * The differencing attack: whoever knows every other trade, and everything published, tries each price that the last trade may have had and
 * keeps those with which the same would have been published.
 */
function attack(
  publish: Publish,
  trades: readonly Trade[],
  target: Trade,
  prices: readonly number[],
): Set<number> {
  const seen = JSON.stringify(publish(trades));
  return new Set(
    prices.filter((candidate) => JSON.stringify(publish(supposing(trades, target, candidate))) === seen),
  );
}

function supposing(trades: readonly Trade[], target: Trade, candidate: number): Trade[] {
  return trades.map((each) => (each === target ? { ...each, price: candidate } : each));
}

/** Prices around one: its neighbours to the cent, and some far away. */
function candidatesOf(actual: number): number[] {
  const near = Array.from({ length: 15 }, (_, i) => Math.round(actual * 100 + i - 7) / 100);
  const wide = Array.from({ length: 25 }, (_, i) => Math.round(actual * (64 + 3 * i)) / 100);
  return [...new Set([...near, ...wide, 0.5, 5e6])];
}

/**
 * The bound: prices that nobody can tell from the one that it had. Of a trade that is in no cell all of them; else those that leave its pair
 * where it is to the one number that is told, below, at its two digits, or above.
 */
function alike(trades: readonly Trade[], target: Trade, prices: readonly number[]): number[] {
  const week = mondayOf(target.at);
  const isIn = target.known <= closesAt(week);
  const cells = byTheRule(trades)[target.node * WEEKS.length + WEEKS.findIndex((each) => each === week)];
  const cell = cells?.find(({ commodity }) => commodity === target.commodity);
  if (!isIn || cell === undefined) return [...prices];
  const sideOf = (candidate: number): number => {
    const ofPair = supposing(trades, target, candidate).filter(
      ({ node, by, commodity, at, known }) =>
        node === target.node &&
        by === target.by &&
        commodity === target.commodity &&
        mondayOf(at) === week &&
        known <= closesAt(week),
    );
    return Math.sign(twoDigits(lowerMedian(ofPair.map(({ price: each }) => each))) - cell.median);
  };
  const actual = sideOf(target.price);
  return prices.filter((candidate) => sideOf(candidate) === actual);
}

interface Attacked {
  readonly trades: Trade[];
  readonly target: Trade;
}
const attacked: fc.Arbitrary<Attacked> = fc.tuple(history, fc.nat()).map(([trades, any]) => {
  const target = trades[any % trades.length] ?? expect.fail('no trades');
  return { trades, target };
});
const isInCell = ({ trades, target }: Attacked): boolean => {
  const prices = [0.01, target.price, 1e9];
  return alike(trades, target, prices).length < prices.length;
};

describe('k-anonymity of what is published', () => {
  it('holds for each cell: five trades of three pairs, told in bands and two digits', () => {
    let cells = 0;
    fc.assert(
      fc.property(history, (trades) => {
        for (const [i, published] of byTheRule(trades).entries())
          for (const { commodity, count, median } of published) {
            const week = WEEKS[i % WEEKS.length] ?? '';
            const behind = trades.filter(
              (each) =>
                each.node === Math.floor(i / WEEKS.length) &&
                each.commodity === commodity &&
                mondayOf(each.at) === week &&
                each.known <= closesAt(week),
            );
            const pairs = new Set(behind.map(({ by }) => by)).size;
            expect(behind.length).toBeGreaterThanOrEqual(LEAST_TRADES);
            expect(pairs).toBeGreaterThanOrEqual(LEAST_PAIRS);
            expect(count).toBe(countBand(pairs));
            expect(median).toBe(twoDigits(lowerMedian(perPair(behind))));
            cells++;
          }
      }),
      { numRuns: 300 },
    );
    expect(cells).toBeGreaterThan(300);
  });

  it('lets nobody who knows all other trades tell more than on which side of one number of two digits a pair is', () => {
    let inCells = 0;
    fc.assert(
      fc.property(attacked, ({ trades, target }) => {
        const prices = candidatesOf(target.price);
        const left = attack(byTheRule, trades, target, prices);
        const bound = alike(trades, target, prices);
        // At best its two digits: an interval of a hundredth of the price and more.
        expect(bound).toEqual(
          expect.arrayContaining(prices.filter((each) => twoDigits(each) === twoDigits(target.price))),
        );
        for (const each of bound) expect(left, `${each} is told apart from ${target.price}`).toContain(each);
        if (isInCell({ trades, target })) inCells++;
      }),
      { numRuns: 300 },
    );
    expect(inCells).toBeGreaterThan(30);
  });

  it.each(NAIVE)('is lost where cells %s', (_, publish) => {
    const tells = (one: Attacked): boolean => {
      const prices = candidatesOf(one.target.price);
      const left = attack(publish, one.trades, one.target, prices);
      return alike(one.trades, one.target, prices).some((each) => !left.has(each));
    };
    const samples = fc.sample(attacked, { numRuns: 200, seed: 7 }).filter(isInCell).slice(0, 40);
    expect(samples.length).toBe(40);
    expect(samples.filter(tells).length).toBeGreaterThan(0);
  });

  it('is lost altogether, to the very price, where cells are revised each day', () => {
    const [, publish] = NAIVE[0] ?? expect.fail();
    const samples = fc.sample(attacked, { numRuns: 100, seed: 7 }).filter(isInCell).slice(0, 20);
    for (const { trades, target } of samples)
      expect([...attack(publish, trades, target, candidatesOf(target.price))]).toEqual([target.price]);
  });
});
