import { afterAll, beforeAll, expect, it } from 'vitest';
import { askedListings } from '../../../api/asked-listings.ts';
import { WantIndex } from '../../../daemon/wants/want-index.ts';
import { isLive, type RecordState } from '../../../protocols/open-dialog/record.ts';
import { publicIdOf } from '../../../protocols/wire/ids.ts';
import type { Held } from '../../../storage/search/match.ts';
import { searchedOf } from '../../../storage/search/searched.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { seededRandom } from '../../support/random.ts';
import { type Question, randomQuestion } from '../../support/search-questions.ts';
import { tempDir } from '../../support/temp-dir.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
const maybe = <T extends object>(share: number, fields: () => T): Partial<T> =>
  random() < share ? fields() : {};
const GOODS = [
  'Maize (white)',
  'mahindi',
  'Corn',
  'Beans (dry)',
  'Maharage',
  'Green grams',
  'Ndengu',
  'Café',
  'Unga wa ngano',
  "Nyama ya ng'ombe",
];
const WORDS = ['fresh', 'Grade 1', 'from Kisumu', '90kg bags', 'cheeses', 'ÉTÉ', 'łódź', 'पाठ', 'x', ''];
const REGIONS = ['Nyanza', 'coast', 'Coast ', 'Rift Valley'];
/** Where cells and meridians end, too. */
const PLACES = [
  [-4.05, 39.67],
  [-0.1, 34.75],
  [0, 0],
  [-18, 179.99],
  [-18.2, -179.9],
  [89.9, 10],
  [45, 180],
] as const;
const near = (): Question => {
  const [lat, long] = one(PLACES);
  const at = { lat: (lat + random()).toFixed(5), long: Math.min(180, long + random()).toFixed(5) };
  const radiusKm = one(['0.5', '10', '120', '900', '4000', '20000']);
  return Number(at.lat) <= 90 ? { geoLat_: at.lat, geoLong_: at.long, radiusKm } : {};
};

const dir = tempDir('same-as-search');
let node: TestNode;
const states: RecordState[] = [];

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off', GEOFENCE: '-2,37,900' });
  for (let n = 0; n < 250; n++) {
    const [lat, long] = one(PLACES);
    const answer = await node.request('POST', '/listings', {
      type: one(['offer', 'request']),
      title: `${one(GOODS)} ${one(WORDS)}`,
      ...maybe(0.7, () => ({ commodity: one(GOODS) })),
      ...maybe(0.5, () => ({ description: `${one(WORDS)} ${one(WORDS)}` })),
      ...maybe(0.7, () => ({ region: one(REGIONS) })),
      ...maybe(0.3, () => ({ productId: one(['p-1', 'p-2']) })),
      ...maybe(0.3, () => ({ status: one(['sold', 'active', 'paused']) })),
      ...maybe(0.7, () => ({ price: Math.ceil(random() * 100) })),
      ...maybe(0.7, () => ({ quantity: Math.ceil(random() * 100) })),
      ...maybe(0.8, () => ({ unit: one(['kg', 'KG', '90 kg']), currency: one(['KES', 'kes', 'UGX']) })),
      ...maybe(0.4, () => ({ location: one(['Kisumu', 'Mombasa']) })),
      ...maybe(0.7, () => ({
        geoLat_: Math.min(90, lat + random() * 0.2).toFixed(5),
        geoLong_: Math.min(180, long + random() * 0.2).toFixed(5),
      })),
    });
    expect(answer.status).toBe(201);
  }
  for await (const state of node.context.reader.all('listings')) if (isLive(state)) states.push(state);
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

async function shown(query: Question): Promise<string[] | undefined> {
  const ids: string[] = [];
  for (let from: Question = {}; ;) {
    const answer = await node.app.request(
      `/listings?${new URLSearchParams({ ...query, ...from, limit: '500' }).toString()}`,
    );
    if (answer.status === 400) return undefined;
    const page = (await answer.json()) as { listings: { id: string }[]; cursor?: string };
    ids.push(...page.listings.map(({ id }) => id));
    if (page.cursor === undefined) return ids.toSorted();
    from = { cursor: page.cursor };
  }
}

it('1,000 random searches find as wants what they find as searches, and each is held against few listings', async () => {
  const index = new WantIndex<{
    readonly asked: ReturnType<typeof askedListings>;
    readonly query: Question;
  }>();
  const wants = [];
  for (let n = 0; n < 1000; n++) {
    const query: Question = {
      ...(random() < 0.6 ? randomQuestion(random, states) : {}),
      ...maybe(0.1, () => ({ keyword: one(['mai', 'FRESH']) })),
      ...maybe(0.1, () => ({ location: 'kis' })),
      ...maybe(0.1, () => ({ maxPrice: '50' })),
      ...maybe(0.1, () => ({ region: one([...REGIONS, ' ']) })),
      ...maybe(0.1, () => ({ productId: 'P-1' })),
      ...maybe(0.1, () => ({ status: one(['sold', 'ACTIVE']) })),
      ...maybe(0.1, () => ({
        owner: one([node.peerId, '12D3KooWBGUPfEuTLRoQQtmg7wTVWnKiam627nAY9cizxpqdb61C']),
      })),
      ...maybe(0.1, () => ({ unit: 'kg', quantityMin: '20', quantityMax: '70' })),
      ...maybe(0.1, () => ({ fence: 'off' })),
      ...maybe(0.3, near),
      ...maybe(0.2, () => ({ type: 'offer' })),
    };
    if (Object.values(query).includes('NaN')) continue; // of a listing without a price
    try {
      const want = { asked: askedListings(query, { ...node.context.fence, active: true }), query };
      wants.push(want);
      index.add(want);
    } catch {
      expect(await shown(query), `${seed} ${JSON.stringify(query)}`).toBeUndefined();
    }
  }
  const found = new Map(wants.map((want) => [want, [] as string[]]));
  let held = 0;
  for (const state of states) {
    const listing = searchedOf(state);
    if (listing === undefined) throw new Error('a listing');
    const one: Held = { state, listing, words: new Set(listing.terms) };
    held += index.candidates(one).size;
    for (const want of index.matching(one)) found.get(want)?.push(publicIdOf(state.key));
  }
  for (const want of wants)
    expect(found.get(want)?.toSorted(), `${seed} ${JSON.stringify(want.query)}`).toEqual(
      await shown(want.query),
    );
  const matches = [...found.values()].reduce((sum, ids) => sum + ids.length, 0);
  console.log(
    `${wants.length} wants, ${matches} matches, ${(held / states.length).toFixed(0)} held against a listing`,
  );
  for (const want of wants) index.remove(want);
  for (const state of states) {
    const listing = searchedOf(state);
    if (listing !== undefined)
      expect(index.candidates({ state, listing, words: new Set(listing.terms) }).size).toBe(0);
  }
}, 120_000);
