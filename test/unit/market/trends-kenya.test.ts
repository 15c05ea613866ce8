import { createReadStream, readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { makeSnapshot, type HeldPrice } from '../../../protocols/market/trend-snapshot.ts';
import { type PricePoint, trendsOf } from '../../../protocols/market/trends.ts';
import { readWfp } from '../../../protocols/market/wfp.ts';
import { seededRandom } from '../../support/random.ts';

/** KENYA_CSV: the whole file, by hand; CI has every market's newest prices and a twentieth of the rest. */
const FILE = process.env['KENYA_CSV'] ?? 'test/data/wfp-kenya-trimmed.csv';
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const points: HeldPrice[] = [];
for await (const row of readWfp(createReadStream(FILE), systemEnv.offload)) {
  if (!('price' in row)) continue;
  const { admin1 = '', ...price } = row.price;
  points.push({
    ...price,
    id: `line-${row.line}`,
    kind: 'observed',
    region: admin1,
    owner: 'a',
    at: [row.line, 0],
  });
}

/** The independent computation: rows as csv-parse gives them, months by their text, medians by sorting. */
type Row = Readonly<
  Record<'date' | 'market' | 'commodity' | 'unit' | 'pricetype' | 'currency' | 'price', string>
>;
const rows = parse<Row>(readFileSync(FILE, 'utf8').replace(/^#.*\n/m, ''), { columns: true });
const monthOf = ({ date }: Row): string => {
  const [month = '', , year = ''] = date.split('/');
  return year === '' ? date.slice(0, 7) : `${year}-${month.padStart(2, '0')}`;
};
const middle = (numbers: number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const [low, high] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
};
const monthBefore = (month: string, back: number): string => {
  const date = new Date(`${month}-15T00:00:00Z`);
  date.setUTCMonth(date.getUTCMonth() - back);
  return date.toISOString().slice(0, 7);
};
const monthsBetween = (from: string, to: string): number => {
  let back = 0;
  while (monthBefore(to, back) > from) back++;
  return back;
};
const pricesIn = (of: readonly Row[], month: string): number[] =>
  of.filter((row) => monthOf(row) === month).map(({ price }) => Number(price));

/** (commodity, market, unit) and the price type; no market is named like a region. */
const PAIRS = [
  ['Maize (white)', 'Hola (Tana River)', 'KG', 'Retail'],
  ['Potatoes (Irish)', 'Eldoret town (Uasin Gishu)', '50 KG', 'Wholesale'],
  ['Maize (white)', 'Mombasa', '90 KG', 'Wholesale'],
  ['Sorghum', 'Kisumu', '90 KG', 'Wholesale'],
  ['Beans', 'Mombasa', 'KG', 'Wholesale'],
] as const;

describe('trends of the Kenya file', () => {
  it.each(PAIRS)('%s in %s, per %s: as computed from the file by hand', (commodity, market, unit, type) => {
    const pair = rows.filter(
      (row) =>
        row.commodity === commodity && row.market === market && row.unit === unit && row.pricetype === type,
    );
    const months = [...new Set(pair.map(monthOf))].sort();
    const [before = '', newest = ''] = months.slice(-2);
    const back = monthsBetween(before, newest);
    expect(back).toBeGreaterThan(0);
    const [from, to] = [middle(pricesIn(pair, before)), middle(pricesIn(pair, newest))];
    const report = trendsOf(points, { commodity, region: market, back });
    const found = report.signals.find((signal) => signal.unit === unit && signal.priceType === type);
    expect(found).toMatchObject({
      commodity,
      cadence: 'month',
      from: { period: before, median: Number(from.toFixed(2)) },
      to: { period: newest, median: Number(to.toFixed(2)) },
      currency: 'KES',
      sampleSize: 1,
      excluded: 0,
      coverage: 1,
    });
    expect(found?.changePct).toBeCloseTo((to / from - 1) * 100, 1);
    expect(found?.asOf.slice(0, 7)).toBe(newest);
  });

  it('every good over all markets: the median of the markets that have both months', () => {
    const { signals } = trendsOf(points, { back: 1 });
    expect(signals.length).toBeGreaterThanOrEqual(5);
    let compared = 0;
    for (const signal of signals.filter(({ excluded }) => excluded === 0)) {
      const good = rows.filter(
        (row) =>
          row.commodity === signal.commodity &&
          row.unit === signal.unit &&
          row.pricetype === signal.priceType &&
          row.currency === signal.currency,
      );
      const newest = good.map(monthOf).sort().at(-1) ?? '';
      const before = monthBefore(newest, 1);
      const markets = [...new Set(good.map(({ market }) => market))]
        .map((market) => good.filter((row) => row.market === market))
        .map((of) => [middle(pricesIn(of, before)), middle(pricesIn(of, newest))] as const)
        .filter((medians) => medians.every((each) => each > 0));
      expect(signal.sampleSize).toBe(markets.length);
      expect(signal.from).toEqual({
        period: before,
        median: Number(middle(markets.map(([a]) => a)).toFixed(2)),
      });
      expect(signal.to).toEqual({
        period: newest,
        median: Number(middle(markets.map(([, b]) => b)).toFixed(2)),
      });
      const logs = markets.map(([a, b]) => Math.log(b / a));
      expect(signal.changePct).toBeCloseTo((Math.exp(middle(logs)) - 1) * 100, 0);
      compared++;
    }
    expect(compared).toBeGreaterThanOrEqual(4);
  });

  it('gives equal bytes for three orders of the inputs, the snapshot too', () => {
    const random = seededRandom(SEED);
    const shuffled = points
      .map((point) => [random(), point] as const)
      .sort(([a], [b]) => a - b)
      .map(([, point]) => point);
    const orders = [points, points.toReversed(), shuffled];
    const reports = orders.map((order) => JSON.stringify(trendsOf(order, { back: 1 })));
    expect(new Set(reports).size, `seed ${SEED}`).toBe(1);
    const from = { region: 'Coast', publishedAt: Date.UTC(2026, 0, 1), transactions: [] };
    expect(new Set(orders.map((order) => JSON.stringify(makeSnapshot(order, from)))).size).toBe(1);
  });

  it('is not moved by fat-finger prices put in beside 5 % of the rows', () => {
    const random = seededRandom(SEED);
    const factors = [10, 100, 0.1, 0.01];
    // Two slips among a market's few prices of two years are a majority, which nothing tells from prices that rose.
    const last = new Map<string, number>();
    const isAlone = (point: HeldPrice): boolean => {
      const series = [...NAME.map((field) => point[field]), point.region, point.market].join('\0');
      const year = Number(point.date.slice(0, 4));
      if (Math.abs(year - (last.get(series) ?? 0)) < 3) return false;
      last.set(series, year);
      return true;
    };
    const slips = points
      .filter((point) => random() < 0.05 && isAlone(point))
      .map((point) => ({
        ...point,
        id: `slip of ${point.id}`,
        price: point.price * (factors[Math.floor(random() * 4)] ?? 1),
      }));
    expect(slips.length).toBeGreaterThan(40);
    let compared = 0;
    for (const back of [1, 2, 3, 6, 12]) {
      const [clean, dirty] = [points, [...points, ...slips]].map((of) => trendsOf(of, { back }).signals);
      for (const signal of clean ?? []) {
        const same = dirty?.find((s) => NAME.every((field) => s[field] === signal[field]));
        const context = `${signal.commodity}, ${back} back, seed ${SEED}`;
        expect(Math.abs((same?.from.median ?? NaN) / signal.from.median - 1), context).toBeLessThan(0.01);
        expect(Math.abs((same?.to.median ?? NaN) / signal.to.median - 1), context).toBeLessThan(0.01);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(20);
  });
});

const NAME = ['commodity', 'unit', 'currency', 'priceType'] as const;

describe('5 % of the prices of a good replaced by wrong ones', () => {
  const market = (i: number, month: number, price: number): PricePoint => ({
    id: `${i}-${month}`,
    date: `2025-${String(month).padStart(2, '0')}-15`,
    commodity: 'Maize',
    market: `Market ${i}`,
    region: 'Nyanza',
    unit: '90 KG',
    currency: 'KES',
    priceType: 'Wholesale',
    kind: 'observed',
    price,
  });

  // The medians are those compared: over markets, of each market's own. Two hundred markets within a tenth of one
  // another: 5 % of them are ten ranks, half a per cent.
  it('moves neither median by 1 %, nor the change by a point, whether they look like slips or not', () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 40; round++) {
      const good = Array.from({ length: 200 }, (_, i) => 95 + i / 20).flatMap((level, i) =>
        Array.from({ length: 12 }, (__, month) =>
          market(i, month + 1, level * (month === 11 ? 1.12 : 1) * (0.99 + 0.02 * random())),
        ),
      );
      const factors = round % 2 === 0 ? [10, 100, 0.1, 0.01] : [2, 3, 0.5, 0.33];
      const wrong = new Set(
        good
          .map((point) => [random(), point] as const)
          .sort(([a], [b]) => a - b)
          .slice(0, good.length * 0.05)
          .map(([, point]) => point),
      );
      const bad = good.map((point) =>
        wrong.has(point)
          ? { ...point, price: point.price * (factors[Math.floor(random() * 4)] ?? 1) }
          : point,
      );
      const [[clean], [dirty]] = [good, bad].map((of) => trendsOf(of, { back: 1 }).signals) as [
        ReturnType<typeof trendsOf>['signals'],
        ReturnType<typeof trendsOf>['signals'],
      ];
      if (clean === undefined || dirty === undefined) throw new Error('no signal');
      const context = `round ${round}, seed ${SEED}`;
      expect(Math.abs(dirty.from.median / clean.from.median - 1), context).toBeLessThan(0.01);
      expect(Math.abs(dirty.to.median / clean.to.median - 1), context).toBeLessThan(0.01);
      expect(Math.abs(dirty.changePct - clean.changePct), context).toBeLessThan(1);
    }
  });
});
