import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { PriceTable } from '../../../protocols/market/price-table.ts';
import { type HeldPrice, currentPrices } from '../../../protocols/market/trend-snapshot.ts';
import { trendsOf, type TrendQuery } from '../../../protocols/market/trends.ts';
import { seededRandom } from '../../support/random.ts';

/** Some prices, some of them by two nodes, some corrected; the same for the same seed. */
function pricesOf(seed: number, count: number, plainIds: boolean): HeldPrice[] {
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const prices: HeldPrice[] = [];
  for (let i = 0; i < count; i++) {
    const earlier = prices[below(prices.length)];
    if (earlier !== undefined && random() < 0.05) {
      prices.push({ ...earlier, owner: `owner-${below(3)}` });
      continue;
    }
    const id = plainIds ? `p${below(10_000)}x${i}` : sha256Hex(`${seed} ${i}`);
    prices.push({
      id,
      owner: `owner-${below(3)}`,
      at: [1_700_000_000_000 + below(1000), below(3)],
      date: `2025-${String(1 + below(12)).padStart(2, '0')}-${String(1 + below(28)).padStart(2, '0')}`,
      commodity: ['Maize', 'Beans', 'Rice'][below(3)] ?? '',
      market: `market ${below(4)}`,
      region: ['Coast', 'Nyanza'][below(2)] ?? '',
      unit: ['KG', '90 KG'][below(2)] ?? '',
      currency: 'KES',
      priceType: 'Retail',
      kind: (['observed', 'observed', 'traded', 'asking'] as const)[below(4)] ?? 'observed',
      price: below(50) - 1,
      ...(earlier !== undefined && random() < 0.1 ? { supersedes: random() < 0.9 ? earlier.id : id } : {}),
    });
  }
  return prices;
}

function tableOf(prices: readonly HeldPrice[]): PriceTable {
  const table = new PriceTable();
  for (const price of prices) table.add(price);
  return table;
}

const query: fc.Arbitrary<TrendQuery> = fc.record(
  {
    back: fc.integer({ min: 1, max: 12 }),
    region: fc.constantFrom('global', 'coast', 'market 1', 'nowhere'),
    commodity: fc.constantFrom('maize', 'BEANS'),
    until: fc.constantFrom('2025-06-30', '2026-01-01'),
    per: fc.constantFrom('week', 'month'),
  },
  { requiredKeys: ['back'] },
);
const set = fc.record({ seed: fc.nat(), count: fc.integer({ min: 0, max: 900 }), plainIds: fc.boolean() });

it('tells of prices in columns what is told of the same prices as objects', () => {
  fc.assert(
    fc.property(
      set,
      fc.array(query, { minLength: 3, maxLength: 3 }),
      ({ seed, count, plainIds }, queries) => {
        const prices = pricesOf(seed, count, plainIds);
        const table = tableOf(prices);
        expect([...table.prices()]).toEqual(prices);
        for (const each of queries) expect(table.report(each)).toEqual(trendsOf(currentPrices(prices), each));
      },
    ),
    { numRuns: 60 },
  );
});

it('knows the newest prices, by date and then by id', () => {
  fc.assert(
    fc.property(set, fc.integer({ min: 1, max: 1000 }), ({ seed, count, plainIds }, most) => {
      const prices = pricesOf(seed, count, plainIds);
      const table = tableOf(prices);
      const order = ({ date, id }: HeldPrice): string => `${date} ${id}`;
      const byAge = prices.toSorted((a, b) =>
        a.date === b.date ? (a.id < b.id ? -1 : 1) : a.date > b.date ? -1 : 1,
      );
      const newest = [...table.prices(table.newestRows(most))].map(order).sort();
      expect(newest).toEqual(byAge.slice(0, most).map(order).sort());
      expect(table.newest).toBe(byAge[0]?.date);
    }),
    { numRuns: 60 },
  );
});

it('holds more rows than one block has, and ids that begin alike in their order', () => {
  const alike = Array.from({ length: 40_000 }, (_, i) => {
    const id = `${'0'.repeat(i % 2 === 0 ? 12 : 8)}${sha256Hex(String(i))}`.slice(0, 64);
    return { ...pricesOf(i, 1, false)[0], id } as HeldPrice;
  });
  const report = tableOf(alike).report({ back: 1 });
  expect(report).toEqual(trendsOf(currentPrices(alike), { back: 1 }));
  expect(report.prices).toBeGreaterThan(30_000);
});
