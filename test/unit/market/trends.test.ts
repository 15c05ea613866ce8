import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PricePoint, trendsOf, trendSummary } from '../../../protocols/market/trends.ts';

const everywhere = { back: 1 };
let made = 0;
const price = (over: Partial<PricePoint>): PricePoint => ({
  id: String(made++),
  date: '2026-01-15',
  commodity: 'Maize',
  market: 'Kisumu',
  region: 'Nyanza',
  unit: '90 KG',
  currency: 'KES',
  priceType: 'Wholesale',
  kind: 'observed',
  price: 100,
  ...over,
});
/** A year of monthly prices in each market, the last month changed by a factor. */
const year = (markets: readonly string[], factor: number, over: Partial<PricePoint> = {}): PricePoint[] =>
  markets.flatMap((market) =>
    Array.from({ length: 12 }, (_, month) =>
      price({
        ...over,
        market,
        date: `2025-${String(month + 1).padStart(2, '0')}-15`,
        price: month === 11 ? 100 * factor : 100,
      }),
    ),
  );

describe('trendsOf', () => {
  it('tells the change of the newest month against the one before, and what it compared', () => {
    const { signals, asOf, prices } = trendsOf(year(['A', 'B', 'C'], 1.12), everywhere);
    expect(asOf).toBe('2025-12-15');
    expect(prices).toBe(36);
    expect(signals).toEqual([
      expect.objectContaining({
        commodity: 'Maize',
        changePct: 12,
        cadence: 'month',
        from: { period: '2025-11', median: 100 },
        to: { period: '2025-12', median: 112 },
        sampleSize: 3,
        coverage: 1,
        excluded: 0,
      }),
    ]);
    expect(signals[0]?.confidence).toBeGreaterThan(0.5);
  });

  it('is not moved by one fat-finger price, in a market of many or of one', () => {
    const slip = price({ market: 'A', date: '2025-12-20', price: 11_200 });
    const [among] = trendsOf([...year(['A', 'B', 'C'], 1.12), slip], everywhere).signals;
    expect(among).toMatchObject({ changePct: 12, excluded: 1 });
    const [alone] = trendsOf([...year(['A'], 1.12), slip], everywhere).signals;
    expect(alone).toMatchObject({ changePct: 12, excluded: 1 });
  });

  it('never mixes units, currencies or price types', () => {
    const all = [
      ...year(['A'], 1.1),
      ...year(['A'], 2, { unit: 'KG' }),
      ...year(['A'], 0.5, { currency: 'USD' }),
      ...year(['A'], 1.5, { priceType: 'Retail' }),
    ];
    const changes = trendsOf(all, everywhere).signals.map((s) => [
      s.unit,
      s.currency,
      s.priceType,
      s.changePct,
    ]);
    expect(changes).toHaveLength(4);
    expect(changes).toEqual(
      expect.arrayContaining([
        ['90 KG', 'KES', 'Wholesale', 10],
        ['KG', 'KES', 'Wholesale', 100],
        ['90 KG', 'USD', 'Wholesale', -50],
        ['90 KG', 'KES', 'Retail', 50],
      ]),
    );
  });

  it('never mixes what was seen, agreed and asked, and says what it is of', () => {
    const of = (kind: PricePoint['kind'], factor: number): PricePoint[] =>
      year(['A', 'B', 'C'], factor, { kind });
    const found = trendsOf([...of('observed', 1.1), ...of('traded', 1.2), ...of('asking', 1.3)], everywhere);
    const changes = found.signals.map(({ kind, changePct }) => [kind, changePct]);
    expect(changes).toEqual([
      ['asking', 30],
      ['traded', 20],
      ['observed', 10],
    ]);
    expect(trendSummary(found, undefined)).toBe(
      'Maize asking prices up 30% month-over-month in all regions.',
    );
    const traded = { ...found, signals: found.signals.slice(1) };
    expect(trendSummary(traded, 'Nyanza')).toBe(
      'Maize prices agreed in trades up 20% month-over-month in Nyanza.',
    );
  });

  it('takes what a node has published for one market, whatever regions it names', () => {
    const traded = ['Nyanza', 'Coast', 'Rift'].flatMap((region) =>
      year(['a node'], 1.2, { kind: 'traded', region }),
    );
    expect(trendsOf(traded, everywhere).signals).toMatchObject([{ sampleSize: 1, changePct: 20 }]);
    const seen = ['Nyanza', 'Coast', 'Rift'].flatMap((region) => year(['National Average'], 1.2, { region }));
    expect(trendsOf(seen, everywhere).signals).toMatchObject([{ sampleSize: 3 }]);
  });

  it('leads with what three markets say, and says so when none does', () => {
    const few = [...year(['A'], 1.5, { commodity: 'Salt' }), ...year(['A', 'B'], 2, { commodity: 'Beans' })];
    const many = trendsOf([...few, ...year(['A', 'B', 'C'], 1.01)], everywhere);
    expect(many.signals.map(({ commodity }) => commodity)).toEqual(['Maize', 'Beans', 'Salt']);
    expect(trendSummary(many, undefined)).toBe('Maize prices up 1% month-over-month in all regions.');
    const two = trendsOf(few, everywhere);
    expect(trendSummary(two, 'global')).toBe('Beans prices up 100% month-over-month in two markets.');
    const one = trendsOf(few, { ...everywhere, commodity: 'salt' });
    expect(trendSummary(one, undefined)).toBe('Salt prices up 50% month-over-month in one market.');
    expect(trendSummary(one, 'Nyanza')).toBe('Salt prices up 50% month-over-month in one market of Nyanza.');
  });

  it('compares weeks where prices are weekly', () => {
    const days = ['2026-03-02', '2026-03-09', '2026-03-16'];
    const points = days.map((date, i) => price({ date, price: [100, 100, 90][i] ?? 0 }));
    expect(trendsOf(points, everywhere).signals[0]).toMatchObject({
      cadence: 'week',
      changePct: -10,
      from: { period: '2026-03-09' },
      to: { period: '2026-03-16' },
    });
  });

  it('takes weeks by month when asked, and says nothing of weeks from monthly data', () => {
    const weekly = Array.from({ length: 12 }, (_, i) =>
      price({
        date: new Date(Date.UTC(2026, 0, 5 + 7 * i)).toISOString().slice(0, 10),
        price: i < 8 ? 100 : 130,
      }),
    );
    expect(trendsOf(weekly, { back: 1, per: 'month' }).signals[0]).toMatchObject({
      cadence: 'month',
      changePct: 30,
      from: { period: '2026-02' },
      to: { period: '2026-03' },
    });
    const monthly = [...year(['A'], 1.1), price({ market: 'A', date: '2025-12-22' })];
    expect(trendsOf(monthly, { back: 1, per: 'week' }).signals).toEqual([]);
  });

  it('takes the mean of two middle prices, and of two middle changes their geometric mean', () => {
    const points = [...year(['A'], 2), ...year(['B'], 0.5)];
    expect(trendsOf(points, everywhere).signals[0]).toMatchObject({
      changePct: 0,
      from: { median: 100 },
      to: { median: 125 },
    });
  });

  it('holds a market with few prices against the others', () => {
    const few = [
      price({ market: 'New', date: '2025-11-15' }),
      price({ market: 'New', date: '2025-12-15', price: 700 }),
    ];
    expect(trendsOf([...year(['A', 'B'], 1.1), ...few], everywhere).signals[0]).toMatchObject({
      changePct: 10,
      sampleSize: 2,
      excluded: 1,
    });
  });

  it('shows goods without new prices last, and each with its own date and inputs', () => {
    const old = year(['A'], 3, { commodity: 'Beans' });
    const fresh = year(['A'], 1.01).map((each) => ({ ...each, date: each.date.replace('2025', '2026') }));
    const { signals, inputs } = trendsOf([...old, ...fresh], everywhere);
    expect(signals.map(({ commodity, asOf }) => [commodity, asOf])).toEqual([
      ['Maize', '2026-12-15'],
      ['Beans', '2025-12-15'],
    ]);
    expect(signals[0]?.inputs).toBe(trendsOf(fresh, everywhere).inputs);
    expect(new Set([inputs, ...signals.map((each) => each.inputs)]).size).toBe(3);
  });

  it('keeps to the region and the commodity asked for; global is all', () => {
    const all = [...year(['A'], 1.2), ...year(['B'], 0.8, { region: 'Coast', commodity: 'Beans' })];
    expect(trendsOf(all, { back: 1, region: 'coast' }).signals.map((s) => s.commodity)).toEqual(['Beans']);
    expect(trendsOf(all, { back: 1, commodity: 'maize' }).signals.map((s) => s.commodity)).toEqual(['Maize']);
    expect(trendsOf(all, { back: 1, region: 'global' }).signals).toHaveLength(2);
  });

  it('says so when there is nothing to compare', () => {
    const none = trendsOf([], everywhere);
    expect(none).toMatchObject({ signals: [], asOf: null, prices: 0 });
    expect(trendSummary(none, 'global')).toMatch(/no prices are held/);
    expect(trendsOf([price({})], everywhere).signals).toEqual([]);
  });

  it('does not depend on the order of its inputs', () => {
    const all = [...year(['A', 'B'], 1.2), ...year(['C'], 0.7, { commodity: 'Beans' })];
    const expected = JSON.stringify(trendsOf(all, everywhere));
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        expect(JSON.stringify(trendsOf(shuffled, everywhere))).toBe(expected);
      }),
      { numRuns: 20 },
    );
  });
});
