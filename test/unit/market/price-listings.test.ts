import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listingOf, newestListings, seriesOf } from '../../../protocols/market/price-listings.ts';
import type { Observation } from '../../../protocols/market/wfp.ts';

const BASE: Observation = {
  date: '2023-01-15',
  market: 'National Average',
  commodity: 'Rice',
  unit: 'KG',
  priceType: 'Retail',
  currency: 'KES',
  price: 150,
  source: 'WFP',
};
const idOf = (price: Observation, seller = 'amina'): string => listingOf(price, seller).id;

test.each<[string, Partial<Observation>]>([
  ['currency, as of two countries', { currency: 'UGX' }],
  ['region', { admin1: 'Coast' }],
  ['district', { admin2: 'Mombasa' }],
  ['market', { market: 'Mombasa' }],
  ['market’s id, where no region tells two countries of one franc apart', { marketId: '974' }],
  ['commodity', { commodity: 'Maize' }],
  ['unit, capitals included', { unit: 'kg' }],
  ['price type', { priceType: 'Wholesale' }],
])('another %s is another listing', (_, over) => {
  const other = { ...BASE, ...over, date: '2023-02-15' };
  expect(idOf(other)).not.toBe(idOf(BASE));
  expect(newestListings([BASE, other], 'amina')).toHaveLength(2);
});

test.each<[string, Partial<Observation>]>([
  ['date and price', { date: '2023-02-15', price: 155, usdPrice: 1.2 }],
  ['flag', { priceFlag: 'aggregate' }],
  ['category, as WFP corrects it', { category: 'cereals and tubers' }],
  ['coordinates', { latitude: -4.05, longitude: 39.67 }],
  ['id of its commodity', { commodityId: '52' }],
  ['white space', { market: ' National \u00A0 Average ' }],
])('another %s is the same listing', (_, over) => {
  expect(idOf({ ...BASE, ...over })).toBe(idOf(BASE));
});

test('a market with a region is the same with and without the id that newer files give it', () => {
  const coast = { ...BASE, admin1: 'Coast', market: 'Mombasa' };
  expect(idOf({ ...coast, marketId: '191' })).toBe(idOf(coast));
});

test('letters composed in another way are the same name; letters that only look alike are not', () => {
  expect(idOf({ ...BASE, market: 'Mombása'.normalize('NFD') })).toBe(idOf({ ...BASE, market: 'Mombása' }));
  expect(idOf({ ...BASE, market: 'Мombasa' })).not.toBe(idOf({ ...BASE, market: 'Mombasa' }));
});

test('each seller has listings of their own', () => {
  expect(idOf(BASE, 'baraka')).not.toBe(idOf(BASE, 'amina'));
});

/** Names full of what separates names elsewhere, so that any joining of them would collide. */
const name = fc.string({ unit: fc.constantFrom('a', '"', ',', '|', '/', '\\', '\0', ']'), maxLength: 4 });
const optional = fc.option(name, { nil: undefined });
const observation: fc.Arbitrary<Observation> = fc
  .record({
    admin1: optional,
    admin2: optional,
    market: name,
    marketId: optional,
    commodity: name,
    unit: name,
    priceType: name,
    currency: name,
  })
  .map(({ admin1, admin2, marketId, ...rest }) => ({
    ...BASE,
    ...rest,
    ...(admin1 === undefined ? {} : { admin1 }),
    ...(admin2 === undefined ? {} : { admin2 }),
    ...(marketId === undefined ? {} : { marketId }),
  }));

test('ids of two prices are equal if, and only if, all that tells them apart is equal', () => {
  fc.assert(
    fc.property(observation, observation, fc.constantFrom('amina', 'a'), (one, other, seller) => {
      const [a, b] = [seriesOf(one), seriesOf(other)];
      const same = a.length === b.length && a.every((part, i) => part === b[i]);
      expect(idOf(one, seller) === idOf(other, seller)).toBe(same);
    }),
    { numRuns: 2_000 },
  );
});
