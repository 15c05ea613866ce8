import { distanceKm } from '../../protocols/market/coordinates.ts';
import { type Clause, clausesOf, matchesClause, wordsOf } from '../../protocols/market/search-words.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { indexValue } from '../../storage/indexes.ts';

/** A search as clients ask it, by the names of the query. */
export type Question = Readonly<Record<string, string>>;

const one = <T>(random: () => number, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)] as T;
/** Some kind of goods under another name than listings have. */
const NAMES = [
  'mahindi',
  'corn',
  'maharage',
  'ndengu',
  'green grams',
  'viazi',
  'mchele',
  'unga',
  'sukuma',
  'maziwa',
  'nyanya',
  'nyama',
  'mafuta',
];

/** A search of chance for what may be among some listings: their words or others, their regions, places, prices. */
export function randomQuestion(random: () => number, listings: readonly RecordState[]): Question {
  const { view } = one(random, listings);
  const text = (name: string): string => String(view[name] ?? '');
  const words = wordsOf(`${text('title')} ${text('description')}`);
  const some = one(random, [
    () => one(random, words),
    () => `${one(random, words)} ${one(random, words)}`,
    () => `${one(random, words)} ${one(random, words).slice(0, 3)}*`,
    () => one(random, NAMES),
    () => `${one(random, NAMES)} ${one(random, words)}`,
    () => text('commodity'),
  ])();
  const maybe = (share: number, names: () => Question): Question => (random() < share ? names() : {});
  const price = Number(view['price']);
  return {
    ...(some === '' ? {} : { q: some }),
    ...maybe(0.2, () => ({ region: text('region') || 'Coast' })),
    ...maybe(0.1, () => ({ type: one(random, ['offer', 'request']) })),
    ...maybe(0.2, () => ({
      coordinates: `geoLat_${(-4 + 8 * random()).toFixed(5)},geoLong_${(34 + 7 * random()).toFixed(5)}`,
      radiusKm: one(random, ['20', '100', '800']),
      ...maybe(0.5, () => ({ sort: 'distance' })),
    })),
    ...maybe(0.3, () => ({
      currency: text('currency'),
      unit: text('unit'),
      ...maybe(0.5, () => ({ priceMin: (price * random()).toFixed(2) })),
      ...maybe(0.5, () => ({ priceMax: (price * (1 + random())).toFixed(2) })),
      ...maybe(0.3, () => ({ sort: 'price' })),
    })),
  };
}

/** What a question finds, by looking at every listing; `wordsIn` gives the words of one. */
export function bruteForce(
  question: Question,
  listings: readonly RecordState[],
  wordsIn: (state: RecordState) => ReadonlySet<string>,
): RecordState[] {
  const clauses: readonly Clause[] = question['q'] === undefined ? [] : clausesOf(question['q']);
  const [, lat, long] = /^geoLat_(.*),geoLong_(.*)$/.exec(question['coordinates'] ?? '') ?? [];
  return listings.filter((state) => {
    const { view } = state;
    const price = Number(view['price'] ?? NaN);
    const at = { lat: Number(view['geoLat_'] ?? NaN), long: Number(view['geoLong_'] ?? NaN) };
    return (
      ['region', 'type', 'currency', 'unit'].every(
        (name) =>
          question[name] === undefined || indexValue(String(view[name] ?? '')) === indexValue(question[name]),
      ) &&
      (question['priceMin'] === undefined || price >= Number(question['priceMin'])) &&
      (question['priceMax'] === undefined || price <= Number(question['priceMax'])) &&
      clauses.every((clause) => matchesClause(wordsIn(state), clause)) &&
      (lat === undefined ||
        distanceKm(at, { lat: Number(lat), long: Number(long) }) <= Number(question['radiusKm']))
    );
  });
}
