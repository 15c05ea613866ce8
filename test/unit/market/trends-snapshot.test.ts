import { describe, expect, it } from 'vitest';
import {
  byOwner,
  type HeldPrice,
  makeSnapshot,
  publishedCounts,
  type Snapshot,
  currentPrices,
} from '../../../protocols/market/trend-snapshot.ts';
import { verifySnapshot } from '../../../protocols/market/trend-verify.ts';
import { trendsOf } from '../../../protocols/market/trends.ts';
import { canonicalJson, type Json } from '../../../protocols/wire/json.ts';

const PUBLISHED = Date.UTC(2026, 0, 20);
let clock = 0;
const price = (over: Partial<HeldPrice>): HeldPrice => ({
  id: `id-${clock}`,
  owner: 'anna',
  at: [clock++, 0],
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
const year = (owner: string, markets: readonly string[]): HeldPrice[] =>
  Array.from({ length: 12 }, (_, month) =>
    markets.map((market) =>
      price({
        owner,
        market,
        date: `2025-${String(month + 1).padStart(2, '0')}-15`,
        price: month === 11 ? 120 : 100,
      }),
    ),
  ).flat();
const held = [...year('anna', ['A', 'B']), ...year('berta', ['C'])];
const options = { region: 'Nyanza', publishedAt: PUBLISHED, transactions: [] };
const made = makeSnapshot(held, options);
/** A forger changes the body and signs it as its own: only recomputing tells. */
const forged = (change: (body: Record<string, Json>) => void): Snapshot => {
  const body = JSON.parse(made.body) as Record<string, Json>;
  change(body);
  return { ...made, body: canonicalJson(body) };
};
const at = (value: Json | undefined, ...path: (string | number)[]): Record<string, Json> => {
  let here = value;
  for (const name of path) here = (here as Record<string | number, Json>)[name];
  return here as Record<string, Json>;
};

describe('prices of cells', () => {
  it('stand as they were published first, and nothing corrects them', () => {
    const cell = (over: Partial<HeldPrice>): HeldPrice => price({ kind: 'traded', market: 'anna', ...over });
    const first = cell({ at: [5, 0] });
    const again = cell({ at: [6, 0], price: 300 });
    const others = [
      cell({ at: [7, 0], date: '2026-01-12' }),
      cell({ at: [7, 0], commodity: 'Beans' }),
      cell({ at: [7, 0], owner: 'berta', market: 'berta' }),
      cell({ at: [7, 0], kind: 'asking' }),
    ];
    const correction = price({ supersedes: first.id });
    const all = [again, ...others, first, correction];
    expect(currentPrices(all)).toEqual([...others, first, correction]);
    expect(currentPrices(all.toReversed())).toEqual([correction, first, ...others.toReversed()]);
  });
});

describe('a trend snapshot', () => {
  it('is what the report says, for everywhere and its own region, with its inputs named', () => {
    const body = JSON.parse(made.body) as Record<string, Json>;
    expect(made).toMatchObject({ asOf: '2025-12-15', region: 'Nyanza', publishedAt: PUBLISHED });
    expect(body).toMatchObject({
      v: 1,
      generatedBy: 'aiTrendHelper',
      inputs: {
        digest: made.inputs,
        prices: 36,
        owners: [
          { owner: 'anna', prices: 24 },
          { owner: 'berta', prices: 12 },
        ],
      },
      global: { found: 1, signals: [{ commodity: 'Maize', changePct: 20, sampleSize: 3 }] },
      local: { found: 1 },
      transactions: [],
    });
    expect(made.body).toBe(canonicalJson(body));
    expect(makeSnapshot(held.toReversed(), options)).toEqual(made);
    expect(
      at(JSON.parse(makeSnapshot(held, { ...options, region: 'unspecified' }).body) as Json)['local'],
    ).toBeNull();
  });

  it('is verified by whoever holds the same prices, byte for byte', () => {
    expect(verifySnapshot(made, held.toReversed())).toMatchObject({
      verdict: 'verified',
      beyond: 0,
      lacking: 0,
    });
  });

  it('is still verified when more has come in, which is counted', () => {
    const later = [price({ owner: 'anna', price: 900 }), ...year('clara', ['D'])];
    expect(verifySnapshot(made, [...later, ...held])).toMatchObject({ verdict: 'verified', beyond: 13 });
    expect(makeSnapshot([...later, ...held], options).inputs).not.toBe(made.inputs);
  });

  it('is verified from as many prices of one owner as there are', () => {
    const many = Array.from({ length: 150_000 }, () => price({ owner: 'dora', market: 'E' }));
    expect(verifySnapshot(makeSnapshot(many, options), many)).toMatchObject({
      verdict: 'verified',
      beyond: 0,
    });
  });

  it('is not judged without its prices: how many are lacking, and whose', () => {
    const without = held.filter(({ owner, date }) => owner !== 'berta' || date < '2025-11');
    expect(verifySnapshot(made, without)).toMatchObject({
      verdict: 'other-inputs',
      lacking: 2,
      owners: [{ owner: 'berta', named: 12, held: 10, state: 'lacking' }],
      detail: 'made from 36 prices; this node lacks 2 of them',
    });
    const other = held.map((each, i) => (i === 5 ? { ...each, id: 'another' } : each));
    expect(verifySnapshot(made, other)).toMatchObject({
      verdict: 'other-inputs',
      lacking: 0,
      owners: [{ owner: 'anna', named: 24, held: 24, state: 'differs' }],
    });
    expect(verifySnapshot(made, [])).toMatchObject({ verdict: 'other-inputs', lacking: 36 });
  });

  it.each<[string, (body: Record<string, Json>) => void, string]>([
    ['a change', (b) => (at(b, 'global', 'signals', 0)['changePct'] = 21), 'body.global.signals.0.changePct'],
    ['a median', (b) => (at(b, 'local', 'signals', 0, 'to')['median'] = 1), 'body.local.signals.0.to.median'],
    ['a sentence put in', (b) => (at(b, 'global')['summary'] = 'buy'), 'body.global.summary'],
    ['a signal left out', (b) => (at(b, 'global')['signals'] = []), 'body.global.signals.0'],
    ['something put in', (b) => (b['advice'] = 'buy'), 'body.advice'],
    ['a small group', (b) => (b['transactions'] = [{ region: 'Nyanza', count: 4 }]), 'body.transactions.0'],
    ['the digest', (b) => (at(b, 'inputs')['digest'] = '0'.repeat(64)), 'body.inputs.digest'],
    ['the number of prices', (b) => (at(b, 'inputs')['prices'] = 99), 'body.inputs.prices'],
  ])('is found out when forged: %s', (_, change, path) => {
    const verdict = verifySnapshot(forged(change), held);
    expect(verdict.verdict).toBe('differs');
    expect(verdict.differs).toContain(path);
  });

  it('is found out when a field beside the body is another, or the body is not canonical', () => {
    expect(verifySnapshot({ ...made, inputs: '0'.repeat(64) }, held)).toMatchObject({ differs: ['inputs'] });
    expect(verifySnapshot({ ...made, asOf: '2026-01-01' }, held)).toMatchObject({ differs: ['asOf'] });
    expect(verifySnapshot({ ...made, region: 'Coast' }, held).verdict).toBe('differs');
    expect(verifySnapshot({ ...made, body: ` ${made.body}` }, held)).toMatchObject({
      verdict: 'differs',
      differs: ['body (not canonical JSON)'],
    });
  });

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"v":2}',
    '['.repeat(60_000),
    '{"v":1,"inputs":{"prices":-1,"owners":[]},"transactions":[]}',
    '{"v":1,"inputs":{"prices":1,"owners":[{"owner":1}]},"transactions":[]}',
    '{"v":1,"inputs":{"prices":1,"owners":[]},"transactions":[null]}',
    `{"v":1,"inputs":{"prices":2,"owners":[${'{"owner":"a","prices":0,"digest":""},'.repeat(2).slice(0, -1)}]},"transactions":[]}`,
  ])('of another form is malformed and throws nothing: %#', (body) => {
    expect(verifySnapshot({ ...made, body }, held).verdict).toBe('malformed');
    expect(verifySnapshot({ ...made, publishedAt: Number.MAX_VALUE }, held).verdict).toBe('malformed');
  });

  it('tells of no group under five transactions', () => {
    const counts = [
      { region: 'Nyanza', count: 5 },
      { region: 'Coast', count: 4 },
      { region: 'Central', count: 70 },
    ];
    expect(publishedCounts(counts)).toEqual([
      { region: 'Central', count: 70 },
      { region: 'Nyanza', count: 5 },
    ]);
    expect(makeSnapshot(held, { ...options, transactions: counts }).body).not.toContain('Coast');
    // No sum either: with the other groups it would give the small one away.
    expect(makeSnapshot(held, { ...options, transactions: counts }).body).not.toMatch(/79|"total/);
  });

  it('fits its field, whatever names goods have', () => {
    const long = '\u0001'.repeat(250);
    const goods = Array.from({ length: 30 }, (_, i) =>
      ['2025-11-15', '2025-12-15'].map((date, m) =>
        price({
          commodity: `${long}${i}`,
          unit: '\u0001'.repeat(60),
          priceType: long,
          date,
          price: 100 + m * i,
        }),
      ),
    ).flat();
    const { body } = makeSnapshot(goods, { ...options, publishedAt: PUBLISHED });
    expect(body.length).toBeLessThanOrEqual(65_536);
    expect(JSON.parse(body)).toMatchObject({ global: { found: 30 } });
    expect(verifySnapshot(makeSnapshot(goods, options), goods).verdict).toBe('verified');
  });

  it('of very many owners is judged as a whole', () => {
    const many = Array.from({ length: 101 }, (_, i) => year(`owner-${i}`, ['A'])).flat();
    const snapshot = makeSnapshot(many, options);
    expect(verifySnapshot(snapshot, many).verdict).toBe('verified');
    expect(verifySnapshot(snapshot, many.slice(1))).toMatchObject({ verdict: 'other-inputs', lacking: 1 });
    expect(verifySnapshot(snapshot, [...many, price({})]).verdict).toBe('other-inputs');
  });
});

describe('prices held', () => {
  it('count once however many nodes publish the same fact', () => {
    const twice = [...held, ...held.map((each) => ({ ...each, owner: 'dora' }))];
    expect(trendsOf(twice, { back: 1 })).toEqual(trendsOf(held, { back: 1 }));
  });

  it('are corrected by their own owner only', () => {
    const [wrong] = held;
    if (wrong === undefined) throw new Error('no price');
    const corrects = { supersedes: wrong.id, price: 101 };
    expect(currentPrices([...held, price({ ...corrects, owner: 'anna' })])).toHaveLength(36);
    expect(currentPrices([...held, price({ ...corrects, owner: 'berta' })])).toHaveLength(37);
    const self = price({ id: 'self', supersedes: 'self' });
    expect(currentPrices([self])).toEqual([self]);
  });

  it('of a day that is not yet do not count', () => {
    const slip = price({ date: '2062-01-15', price: 100 });
    expect(makeSnapshot([...held, slip], options)).toEqual(made);
    expect(trendsOf([...held, slip], { back: 1, until: '2026-01-21' }).asOf).toBe('2025-12-15');
  });

  it('stand in the order of their owner', () => {
    const [a, b] = [price({ at: [5, 1] }), price({ at: [5, 0] })];
    expect([...byOwner([a, b]).values()]).toEqual([[b, a]]);
  });
});
