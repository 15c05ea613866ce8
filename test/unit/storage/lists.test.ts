import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { distanceKm } from '../../../protocols/market/coordinates.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import type { RecordPage } from '../../../protocols/unread.ts';
import { identityFromSeed, type PeerId } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Database } from '../../../storage/database.ts';
import { indexValue } from '../../../storage/indexes.ts';
import { range } from '../../../storage/keyspace.ts';
import type { ListFilter } from '../../../storage/list-filter.ts';
import { cellRangesOf, mayBeWithin, placeValue } from '../../../storage/place-cells.ts';
import { Reader } from '../../../storage/reader.ts';
import { seededRandom } from '../../support/random.ts';
import { plainState, recordRows } from '../../support/record-rows.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** Records of each run, far more than are dropped before a page may end early. */
const RECORDS = 1500;
const OWNERS = [1, 2, 3].map((n) => identityFromSeed(new Uint8Array(32).fill(n)).peerId);
const COMMODITIES = ['Maize', 'beans', 'RICE', 'a rare herb'];

/** CPU of which each look at the clock takes half a slice: pages end early wherever they may. */
let cpuMs = 0;

/** Lists of a database that is the test's own: one that has run out of time goes on for a while, and would clear that of the next. */
async function openLists() {
  const dir = tempDir('lists');
  const spent = (): number => (cpuMs += 2.5);
  const db = await Database.open(dir.path, { ...systemEnv, monotonic: spent, cpu: spent });
  onTestFinished(async () => {
    await db.close();
    dir.remove();
  });
  return new Lists(db);
}

const long = fc.oneof(
  { weight: 3, arbitrary: fc.double({ min: 36, max: 38, noNaN: true }) },
  fc.double({ min: -180, max: 180, noNaN: true }),
  fc.constantFrom(-180, 180, 179.99999, -179.99999, 0),
);
const lat = fc.oneof(
  { weight: 3, arbitrary: fc.double({ min: -2, max: 0, noNaN: true }) },
  fc.double({ min: -90, max: 90, noNaN: true }),
  fc.constantFrom(-90, 90, 89.99999, 0),
);
const circle = fc
  .record({ lat, long, exponent: fc.double({ min: -1, max: 4.3, noNaN: true }) })
  .map(({ exponent, ...at }) => ({ ...at, km: 10 ** exponent }));
/** One of them, or most often none. */
const some = (...values: string[]) => fc.constantFrom(...values, ...values.map(() => undefined), undefined);
const filter: fc.Arbitrary<ListFilter> = fc.record({
  fields: fc.record({
    type: some('offer', 'REQUEST'),
    status: some('active', 'sold'),
    region: some('coast', 'Nyanza', 'nowhere'),
    commodity: some(...COMMODITIES),
  }),
  owner: fc.option(fc.constantFrom(...OWNERS), { nil: undefined }),
  near: fc.option(circle, { nil: undefined }),
  keep: fc.option(
    fc.constant((state: RecordState) => Number(state.view['price']) < 3),
    { nil: undefined },
  ),
});

/** The same record for the same numbers: crowded in one place or anywhere, some without a place, some that have ended. */
function stateOf(random: () => number, i: number, ms = i): RecordState {
  const one = <T>(values: readonly [T, ...T[]]): T =>
    values[Math.floor(random() * values.length)] ?? values[0];
  const crowded = random() < 0.7;
  const at = crowded
    ? { lat: -2 + 2 * random(), long: 36 + 2 * random() }
    : one([
        { lat: 180 * random() - 90, long: 360 * random() - 180 },
        { lat: 90, long: 0 },
        { lat: -0.5, long: 180 },
      ]);
  const view = {
    type: one(['offer', 'request']),
    price: 1 + Math.floor(random() * 9),
    ...(random() < 0.8 ? { status: one(['active', 'sold']) } : {}),
    ...(random() < 0.8 ? { region: one(['Coast', 'Nyanza', 'Rift Valley']) } : {}),
    ...(random() < 0.8
      ? { commodity: random() < 0.02 ? 'a rare herb' : one(['Maize', 'beans', 'RICE']) }
      : {}),
    ...(random() < 0.9 ? { geoLat_: at.lat.toFixed(5), geoLong_: at.long.toFixed(5) } : {}),
  };
  const owner = OWNERS[Math.floor(random() * OWNERS.length)] ?? '';
  const key = recordKey('listings', owner as PeerId, `listing-${String((i * 7919) % 10_007)}`);
  return { ...plainState(key, view, 1_700_000_000_000 + ms), tombstone: random() < 0.1 };
}

function statesOf(seed: number): RecordState[] {
  const random = seededRandom(seed);
  return Array.from({ length: RECORDS }, (_, i) => stateOf(random, i));
}

/** What a filter means, record by record. */
function isOf({ key, view, tombstone }: RecordState, { fields, owner, near, keep }: ListFilter): boolean {
  if (tombstone || (owner !== undefined && !key.startsWith(`listings/${owner}/`))) return false;
  for (const [field, value] of Object.entries(fields))
    if (value !== undefined && indexValue(String(view[field] ?? '')) !== indexValue(value)) return false;
  if (near !== undefined) {
    const at = { lat: Number(view['geoLat_'] ?? NaN), long: Number(view['geoLong_'] ?? NaN) };
    if (!(distanceKm(at, near) <= near.km)) return false;
  }
  return keep === undefined || keep({ key, view, tombstone } as RecordState);
}

class Lists {
  readonly db: Database;
  readonly reader: Reader;

  constructor(db: Database) {
    this.db = db;
    this.reader = new Reader(db);
  }

  async fill(states: readonly RecordState[]): Promise<void> {
    for (const name of ['records', 'index'] as const) await this.db.level.clear(range(name));
    await this.db.batch(
      states.flatMap((state) => recordRows(undefined, state)),
      false,
    );
  }

  /** All pages of a list, the first of one record, since only later ones end early here; `between` is called after each. */
  async pagesOf(query: ListFilter, limit: number, between = async (): Promise<void> => undefined) {
    const found: RecordState[] = [];
    let [early, cursor]: [number, string | undefined] = [0, undefined];
    do {
      const page: RecordPage = await this.reader.list(
        'listings',
        query,
        cursor === undefined ? 1 : limit,
        cursor,
      );
      expect(page.records.length).toBeLessThanOrEqual(limit);
      if (cursor !== undefined && page.cursor !== undefined && page.records.length < limit) early++;
      found.push(...page.records);
      cursor = page.cursor;
      await between();
    } while (cursor !== undefined);
    return { found, early };
  }
}

const keysOf = (states: readonly RecordState[]): string[] => states.map(({ key }) => key).toSorted();

describe('a list, page by page', () => {
  it('is what a scan of all records gives, each once, whatever the filter and the size of a page', async () => {
    const lists = await openLists();
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.tuple(filter, fc.integer({ min: 1, max: 500 })), { minLength: 20, maxLength: 20 }),
        async (seed, queries) => {
          const states = statesOf(seed);
          await lists.fill(states);
          for (const [query, limit] of queries) {
            const { found, early } = await lists.pagesOf(query, limit);
            expect(keysOf(found)).toEqual(keysOf(states.filter((state) => isOf(state, query))));
            ended += early;
          }
        },
      ),
      // How many pages end early is a matter of the queries: the same ones each time, unless others are asked for.
      { numRuns: 20, seed: Number(process.env['SEED'] ?? 1) },
    );
    expect(ended).toBeGreaterThan(10);
  });

  it('of a first page looks at as much as it takes to find something, for who asks for no other', async () => {
    const lists = await openLists();
    const states = statesOf(5);
    await lists.fill(states);
    const oldest = states.find(({ tombstone }) => !tombstone);
    const found = await lists.reader.list(
      'listings',
      { fields: {}, keep: ({ key }) => key === oldest?.key },
      50,
    );
    expect(found.records.map(({ key }) => key)).toEqual([oldest?.key]);
  });

  it('shows what stays exactly once while other records come, change and go', async () => {
    const lists = await openLists();
    await fc.assert(
      fc.asyncProperty(fc.nat(), filter, fc.integer({ min: 1, max: 60 }), async (seed, query, limit) => {
        const states = statesOf(seed);
        await lists.fill(states);
        const held = new Map(states.map((state) => [state.key, state]));
        const changed = new Set<string>();
        const random = seededRandom(seed + 1);
        const { found } = await lists.pagesOf(query, limit, async () => {
          // Its key names its owner: with another one it is another record.
          const fresh = stateOf(random, Math.floor(random() * 2 * RECORDS), 2 * RECORDS + changed.size);
          await lists.db.batch(recordRows(held.get(fresh.key), fresh), false);
          held.set(fresh.key, fresh);
          changed.add(fresh.key);
        });
        expect(found.every((state) => isOf(state, query))).toBe(true);
        const stayed = (all: readonly RecordState[]): string[] =>
          keysOf(all).filter((key) => !changed.has(key));
        expect(stayed(found)).toEqual(stayed(states.filter((state) => isOf(state, query))));
      }),
      { numRuns: 20 },
    );
  });
});

describe('cells of a circle', () => {
  it('hold every place within it, at the poles and across the antimeridian too', () => {
    fc.assert(
      fc.property(
        circle,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 360, noNaN: true }),
        (near, far, bearing) => {
          const at = towards(near, near.km * far, bearing);
          if (distanceKm(at, near) > near.km) return;
          const value = placeValue(at);
          expect(cellRangesOf(near).some(({ from, to }) => value >= from && value < to)).toBe(true);
          expect(mayBeWithin(value, near)).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('are few ranges, in order and apart, and of a small circle little more than it', () => {
    fc.assert(
      fc.property(circle, (near) => {
        const ranges = cellRangesOf(near);
        expect(ranges.length).toBeLessThanOrEqual(24);
        for (const [i, { from, to }] of ranges.entries()) {
          expect(from < to).toBe(true);
          if (i > 0) expect((ranges[i - 1]?.to ?? '') < from).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
    const share = cellRangesOf({ lat: -1.2833, long: 36.8167, km: 50 })
      .map(({ from, to }) => Number.parseInt(to, 16) - Number.parseInt(from, 16))
      .reduce((sum, span) => sum + span, 0);
    const degrees = (share / 2 ** 52) * 360 * 180;
    expect(degrees).toBeLessThan(3 * Math.PI * (50 / 111.2) ** 2);
  });
});

/** The place so far from another in a direction. */
function towards(
  at: { lat: number; long: number },
  km: number,
  bearing: number,
): { lat: number; long: number } {
  const [phi, angle, turn] = [(at.lat * Math.PI) / 180, km / 6371, (bearing * Math.PI) / 180];
  const sine = Math.sin(phi) * Math.cos(angle) + Math.cos(phi) * Math.sin(angle) * Math.cos(turn);
  const to = Math.asin(Math.max(-1, Math.min(1, sine)));
  const east = Math.atan2(
    Math.sin(turn) * Math.sin(angle) * Math.cos(phi),
    Math.cos(angle) - Math.sin(phi) * Math.sin(to),
  );
  const long = at.long + (east * 180) / Math.PI;
  return { lat: (to * 180) / Math.PI, long: ((((long + 180) % 360) + 360) % 360) - 180 };
}
