import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { distanceKm } from '../../../protocols/market/coordinates.ts';
import { clausesOf, matchesClause, wordsOf } from '../../../protocols/market/search-words.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { del, put } from '../../../storage/commit-rows.ts';
import { Database } from '../../../storage/database.ts';
import { indexValue } from '../../../storage/indexes.ts';
import { type BatchOp, fullKey, numberKey, range } from '../../../storage/keyspace.ts';
import type { ListFilter } from '../../../storage/list-filter.ts';
import { type Level, type RowRange } from '../../../storage/level.ts';
import { listingsBetween } from '../../../storage/search/changed-listings.ts';
import { EMPTY_INDEX, MANIFEST, readManifest } from '../../../storage/search/manifest.ts';
import { writeSegment } from '../../../storage/search/segment-build.ts';
import { segmentProblem } from '../../../storage/search/segment-check.ts';
import type { Search } from '../../../storage/search/match.ts';
import { Searches } from '../../../storage/search/search.ts';
import { SearchIndex, type SearchSizes } from '../../../storage/search/search-index.ts';
import { jsonWithChecksum, withChecksum } from '../../../storage/values.ts';
import { plainState, recordRows } from '../../support/record-rows.ts';
import { seededRandom } from '../../support/random.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** Small enough for many segments. */
const SIZES = { flushAtListings: 200, largest: 1600 };
const OWNERS = [1, 2, 3].map((n) => identityFromSeed(new Uint8Array(32).fill(n)).peerId);
const GOODS = [
  'Maize (white)',
  'mahindi',
  'Corn',
  'Beans (dry)',
  'Maharage',
  'Green grams',
  'Ndengu',
  'Unga wa ngano',
  'Wheat flour',
  'Café',
  'Tomatoes',
  "Nyama ya ng'ombe",
];
const WORDS = [
  'fresh',
  'Grade 1',
  'from Kisumu',
  '90kg bags',
  'boxes',
  'cheese',
  'berries',
  'of the season',
  'ÉTÉ',
  'łódź',
  'पाठ',
  'x',
];
const QUERIES = [
  'maize',
  'mahindi',
  'CORN fresh',
  'beans',
  'bean kisumu',
  'ndengu',
  'green grams',
  'wheat flour',
  'cafe',
  'tomato',
  'tom*',
  'ng’ombe',
  'kis*',
  '90',
  'kg bag',
  'box',
  'cheeses',
  'berry',
  'ete',
  'lodz',
  'पाठ',
  'nothing',
  'fresh mai*',
  'unga',
  'b*',
];

/** A database before each reading of which `look` is called. */
const watched = ({ level }: Database, look: (name: string) => Promise<unknown>): Level =>
  new Proxy(level, {
    get(target, name) {
      if (name === 'getMany') return async (keys: string[]) => (await look(name), target.getMany(keys));
      if (name === 'get') return async (key: string) => (await look(name), target.get(key));
      if (name !== 'iterator') {
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return (of: RowRange) => {
        const rows = target.iterator(of);
        return {
          nextv: async (size: number) => (await look(name), rows.nextv(size)),
          close: () => rows.close(),
        };
      };
    },
  });

type One = <T>(values: readonly T[]) => T;
const chooser =
  (random: () => number): One =>
  (values) =>
    values[Math.floor(random() * values.length)] as (typeof values)[number];

/** A node's database with listings in it, as commits leave them, and an index that follows. */
class Market {
  readonly db: Database;
  readonly held = new Map<string, { state: RecordState; change: number }>();
  readonly #numbers = new WeakMap<RecordState, number>();
  readonly #words = new Map<string, Set<string>>();
  readonly #sizes: Partial<SearchSizes>;
  #last = 0;
  index: SearchIndex;
  searches: Searches;
  readonly warnings: unknown[] = [];

  constructor(db: Database, sizes: Partial<SearchSizes>) {
    this.db = db;
    this.#sizes = sizes;
    [this.index, this.searches] = this.#begin();
  }

  #begin(): [SearchIndex, Searches] {
    const index = new SearchIndex({
      db: this.db,
      changeOf: (state) => this.#numbers.get(state),
      warn: (...what) => this.warnings.push(what),
      sizes: this.#sizes,
    });
    index.start();
    return [index, new Searches(this.db, index, (unread) => this.warnings.push(unread))];
  }

  /** As another process after a kill: nothing of what was in memory is written. */
  async restart(): Promise<void> {
    await this.index.stop();
    [this.index, this.searches] = this.#begin();
  }

  async commit(states: readonly RecordState[], told = true): Promise<void> {
    const changes = states.map((after) => ({
      key: after.key,
      before: this.held.get(after.key)?.state,
      after,
    }));
    const ops: BatchOp[] = [];
    for (const { before, after } of changes) {
      const change = ++this.#last;
      const old = this.held.get(after.key)?.change;
      if (old !== undefined) ops.push(del(fullKey('changes', numberKey(old, 12))));
      ops.push(put(fullKey('changes', numberKey(change, 12)), Buffer.from(after.key)));
      ops.push(...recordRows(before, after, change));
      this.#numbers.set(after, change);
      this.held.set(after.key, { state: after, change });
    }
    await this.db.batch(ops, false);
    if (told) this.index.note(changes);
  }

  async found(search: Search, filter: ListFilter, limit: number): Promise<string[]> {
    const keys: string[] = [];
    let cursor: string | undefined;
    for (;;) {
      const page = await this.searches.page(search, filter, limit, cursor);
      expect(page.records.length).toBeLessThanOrEqual(limit);
      keys.push(...page.records.map(({ key }) => key));
      if ((cursor = page.cursor) === undefined) return keys;
    }
  }

  #wordsOf(view: RecordState['view']): Set<string> {
    const text = [view['title'], view['description'], view['commodity']].join('\n');
    const words = this.#words.get(text) ?? new Set(wordsOf(text));
    this.#words.set(text, words);
    return words;
  }

  /** By looking at every record. */
  wanted(search: Search, filter: ListFilter): string[] {
    const within = (span: Search['price'], value: unknown): boolean =>
      span === undefined ||
      (typeof value === 'number' && value >= (span.from ?? -Infinity) && value <= (span.to ?? Infinity));
    const at = ({ view }: RecordState) => ({
      lat: Number(view['geoLat_'] ?? NaN),
      long: Number(view['geoLong_'] ?? NaN),
    });
    const rank = (state: RecordState): number => {
      if (search.sort === 'newest') return -state.updated[0];
      if (search.sort === 'distance')
        return filter.near === undefined ? 0 : distanceKm(at(state), filter.near);
      return typeof state.view['price'] === 'number' ? state.view['price'] : Infinity;
    };
    return [...this.held.values()]
      .filter(({ state: { key, view, tombstone } }) => {
        const words = this.#wordsOf(view);
        return (
          !tombstone &&
          search.clauses.every((clause) => matchesClause(words, clause)) &&
          within(search.price, view['price']) &&
          within(search.quantity, view['quantity']) &&
          (filter.owner === undefined || key.split('/')[1] === filter.owner) &&
          Object.entries(filter.fields).every(
            ([name, value]) =>
              value === undefined || indexValue(String(view[name] ?? '')) === indexValue(value),
          ) &&
          (filter.near === undefined ||
            distanceKm(at({ view } as RecordState), filter.near) <= filter.near.km) &&
          (filter.keep?.({ key, view } as RecordState) ?? true)
        );
      })
      .map(({ state, change }) => ({ key: state.key, rank: rank(state), change }))
      .toSorted((a, b) => (a.rank === b.rank ? b.change - a.change : a.rank - b.rank))
      .map(({ key }) => key);
  }
}

function listing(random: () => number, i: number, ms: number): RecordState {
  const one = chooser(random);
  const view = {
    type: one(['offer', 'request']),
    status: one(['active', 'sold']),
    title: `${one(WORDS)} ${one(GOODS)} ${i % 7}`,
    ...(random() < 0.7 ? { commodity: one(GOODS) } : {}),
    ...(random() < 0.5 ? { description: `${one(WORDS)}, ${one(WORDS)}\n${one(WORDS)} ${one(GOODS)}` } : {}),
    ...(random() < 0.8 ? { region: one(['Coast', 'Nyanza']), price: Math.floor(random() * 50) / 2 } : {}),
    ...(random() < 0.8 ? { quantity: Math.floor(random() * 100), unit: one(['kg', 'KG', '90 KG']) } : {}),
    currency: one(['KES', 'UGX']),
    ...(random() < 0.9
      ? { geoLat_: (-4 + 8 * random()).toFixed(5), geoLong_: (34 + 6 * random()).toFixed(5) }
      : {}),
  };
  const key = recordKey('listings', one(OWNERS), `listing-${(i * 7919) % 10_007}`);
  return { ...plainState(key, view, 1_700_000_000_000 + ms), tombstone: random() < 0.1 };
}

function question(random: () => number): { search: Search; filter: ListFilter; limit: number } {
  const one = chooser(random);
  const maybe = <T>(value: T): T | undefined => (random() < 0.25 ? value : undefined);
  const near = maybe({ lat: 8 * random() - 4, long: 34 + 6 * random(), km: 10 ** (random() * 4) });
  const span = maybe({ from: one([undefined, 5]), to: one([undefined, 20]) });
  const sort = one<Search['sort']>([
    'newest',
    'price',
    ...(near === undefined ? [] : (['distance'] as const)),
  ]);
  return {
    search: {
      clauses: random() < 0.9 ? clausesOf(one(QUERIES)) : [],
      price: span,
      quantity: maybe({ from: 20, to: one([undefined, 60]) }),
      sort,
    },
    filter: {
      fields: {
        type: maybe('OFFER'),
        region: maybe('coast'),
        unit: maybe('kg'),
        currency: maybe('kes'),
        productId: undefined,
      },
      owner: maybe(one(OWNERS)),
      near,
      keep: maybe((state: RecordState) => Number(state.view['price'] ?? 0) < 15),
    },
    limit: one([50, 500]),
  };
}

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).toReversed()) await each();
});
async function market(sizes: Partial<SearchSizes> = {}): Promise<Market> {
  const dir = tempDir('search');
  const db = await Database.open(dir.path, systemEnv);
  const made = new Market(db, { ...SIZES, ...sizes });
  undo.push(
    async () => dir.remove(),
    () => db.close(),
    () => made.index.stop(),
  );
  return made;
}

/** Searches of chance give what looking at every record gives, in order. */
async function expectComplete(made: Market, random: () => number, count: number): Promise<number> {
  let found = 0;
  for (let i = 0; i < count; i++) {
    const { search, filter, limit } = question(random);
    const keys = await made.found(search, filter, limit);
    expect(keys, JSON.stringify({ search, filter, limit })).toEqual(made.wanted(search, filter));
    found += keys.length;
  }
  return found;
}

describe('a search', { timeout: 60_000 }, () => {
  it('finds what a look at every record finds, in order, while listings come, change and end, over segments and restarts', async () => {
    const random = seededRandom(13);
    const made = await market();
    let asked = 0;
    for (let i = 0, ms = 0; i < 6000; i += 500) {
      // Every fifth one again: most of them change.
      const states = Array.from({ length: 500 }, (_, n) => listing(random, n % 5 === 0 ? n : i + n, ++ms));
      await made.commit([...new Map(states.map((state) => [state.key, state])).values()]);
      await made.index.idle();
      if (i % 1500 === 0) asked += await expectComplete(made, random, 25);
      if (i % 4000 !== 0) continue;
      await made.restart();
      await made.index.idle();
    }
    await made.index.idle();
    expect(made.index.figures.segments).toBeGreaterThan(1);
    expect(await expectComplete(made, random, 150)).toBeGreaterThan(1000);
    expect(asked).toBeGreaterThan(0);
    expect(made.warnings).toEqual([]);
  });

  it('is complete over what it was not told of, once it has read it', async () => {
    const random = seededRandom(14);
    const made = await market();
    await made.commit(Array.from({ length: 300 }, (_, i) => listing(random, i, i)));
    await made.index.idle();
    await made.commit(
      Array.from({ length: 300 }, (_, i) => listing(random, i + 200, i + 300)),
      false,
    );
    made.index.again();
    await made.index.idle();
    await expectComplete(made, random, 50);
  });

  it('is complete though the database was opened anew and rows were swept while it was read', async () => {
    const made = await market();
    await made.commit(Array.from({ length: 190 }, (_, i) => listing(() => 0.5, i, i)));
    await made.index.stop();
    let reads = 0;
    const level = watched(made.db, async (name) => {
      if (name !== 'getMany' || reads++ !== 1) return;
      index.reopened();
      await index.sweep([]);
    });
    const index: SearchIndex = new SearchIndex({
      db: { level, env: systemEnv, batch: made.db.batch.bind(made.db) },
      changeOf: () => undefined,
      warn: raise,
    });
    index.start();
    await index.idle();
    expect(index.figures.listings).toBe(190);
    await index.stop();
  });
});

/** A number in letters, in no order: words of them are no words that anything folds. */
const letters = (n: number): string =>
  ((n * 7_919_993) % 300_007).toString(26).replaceAll(/[0-9]/g, (digit) => 'qrstuvwxyz'[Number(digit)] ?? '');
const raise = (): never => {
  throw new Error('there is none');
};

describe('the rows of the index', { timeout: 60_000 }, () => {
  async function rowsWith(made: Market, text: string): Promise<number> {
    let rows = 0;
    for await (const [, value] of made.db.level.iterator(range('search')))
      if (Buffer.from(value).includes(text)) rows++;
    return rows;
  }
  const named = (i: number, title: string): RecordState =>
    plainState(
      recordKey('listings', OWNERS[0] ?? ('' as never), `n${i}`),
      { type: 'offer', status: 'active', title },
      i,
    );

  it('have no word of what has ended once they were swept', async () => {
    const made = await market();
    await made.commit(Array.from({ length: 1500 }, (_, i) => named(i, i === 40 ? 'zanzibarspice' : 'maize')));
    await made.index.idle();
    expect(await rowsWith(made, 'zanzibarspice')).toBe(1);
    await made.commit([{ ...named(40, 'gone'), tombstone: true }]);
    await made.index.sweep(OWNERS);
    expect(await rowsWith(made, 'zanzibarspice')).toBe(0);
    await made.commit(
      Array.from({ length: 300 }, (_, i) => named(2000 + i, i === 7 ? 'pembaclove' : 'beans')),
    );
    await made.index.idle();
    expect(await rowsWith(made, 'pembaclove')).toBe(1);
    await made.commit([{ ...named(2007, 'gone'), tombstone: true }]);
    // At once after a start, as what a kill has cut off is finished.
    await made.restart();
    await made.index.sweep(OWNERS);
    expect(await rowsWith(made, 'pembaclove')).toBe(0);
    expect(
      (await made.found({ clauses: clausesOf('maize'), sort: 'newest' }, { fields: {} }, 500)).length,
    ).toBe(1499);
  });

  it('are swept of one owner, and stay as they are where none of it has ended', async () => {
    const SPICES = ['zanzibarspice', 'pembaclove'];
    const [one, other] = OWNERS.map((owner, n) =>
      Array.from({ length: SIZES.flushAtListings }, (_, i) =>
        plainState(
          recordKey('listings', owner, `n${i}`),
          { type: 'offer', status: 'active', title: i === 40 ? (SPICES[n] ?? '') : 'maize' },
          i,
        ),
      ),
    );
    const made = await market();
    for (const states of [one ?? [], other ?? []]) {
      await made.commit(states);
      await made.index.idle();
    }
    expect(made.index.figures.segments).toBe(2);
    for (const states of [one, other])
      await made.commit([{ ...(states?.[40] ?? raise()), tombstone: true, view: {} }]);
    const rowsOf = async (no: number) =>
      (await made.db.level.iterator(range('search', numberKey(no))).all()).map(([key]) => key);
    const rows = await rowsOf(2);
    await made.index.sweep(OWNERS.slice(0, 1));
    expect([await rowsWith(made, 'zanzibarspice'), await rowsWith(made, 'pembaclove')]).toEqual([0, 1]);
    expect([await rowsOf(1), await rowsOf(2)]).toEqual([[], rows]);
    // Neither has anything of these that ended since.
    const all = async () => (await made.db.level.iterator(range('search')).all()).map(String);
    const before = await all();
    await made.index.sweep([OWNERS[0] ?? '', OWNERS[2] ?? '']);
    expect(await all()).toEqual(before);
    await made.index.sweep(OWNERS.slice(1, 2));
    expect(await rowsWith(made, 'pembaclove')).toBe(0);
  });

  it('stay in proportion to the listings that there are, however often they change', async () => {
    const made = await market();
    for (let round = 0; round < 24; round++)
      await made.commit(Array.from({ length: 1000 }, (_, i) => named(i, `maize ${round}`)));
    await made.index.idle();
    expect(made.index.figures.listings).toBeLessThan(6000);
  });

  it('are made anew where they are damaged, lost or of another time, as the scrub looks and as a search comes upon them', async () => {
    const random = seededRandom(15);
    const made = await market();
    await made.commit(Array.from({ length: 1000 }, (_, i) => listing(random, i, i)));
    await made.index.idle();
    const found: string[] = [];
    const scrub = (): Promise<void> =>
      made.index.check(
        (what) => found.push(what),
        async () => undefined,
      );
    await scrub();
    expect(found).toEqual([]);
    for (let i = 0; i < 4; i++) {
      const all = await made.db.level.iterator(range('search')).all();
      const rows = all.filter(([key]) => !key.includes('manifest'));
      const [key, value] = rows[Math.floor((i / 4) * rows.length)] ?? ['', new Uint8Array(0)];
      const flipped = Uint8Array.from(value, (byte, at) => (at === 5 ? byte ^ 1 : byte));
      await made.db.level.batch([i % 2 === 0 ? del(key) : put(key, flipped)]);
      await made.restart();
      await made.index.idle();
      found.length = 0;
      await scrub();
      expect(found, key).toEqual(['damaged']);
    }
    await expectComplete(made, random, 20);
    // Words of a segment of another one: their checksums hold.
    const other = await market();
    await other.commit(Array.from({ length: 1000 }, (_, i) => listing(random, i, i)));
    await other.index.idle();
    await made.db.level.clear(range('search'));
    await made.db.level.batch(
      (await other.db.level.iterator(range('search')).all()).map(([key, value]) => put(key, value)),
    );
    await made.restart();
    await made.index.idle();
    found.length = 0;
    await scrub();
    expect(new Set(found)).toEqual(new Set(['stale']));
    await expectComplete(made, random, 50);
  });

  /** All segments of a market, compared with its records. */
  async function problems(made: Market, level: Level): Promise<unknown[]> {
    const db = { level, env: systemEnv, batch: raise };
    const { segments } = (await readManifest(made.db)) ?? EMPTY_INDEX;
    return Promise.all(segments.map((head) => segmentProblem(db, head)));
  }

  it('are right though listings change at any moment while they are compared', async () => {
    const made = await market();
    await made.commit(Array.from({ length: SIZES.flushAtListings }, (_, i) => named(i, `maize ${i}`)));
    await made.index.idle();
    let [calls, changed] = [0, 0];
    for (let moment = 0; ; moment++) {
      calls = 0;
      const change = async (): Promise<void> => {
        if (calls++ !== moment) return;
        await made.commit([named(moment % 10, `changed ${++changed}`)], false);
      };
      expect(await problems(made, watched(made.db, change)), `at call ${moment}`).toEqual([undefined]);
      if (calls <= moment) break;
    }
    expect(changed).toBeGreaterThan(10);
  });

  it('are right though a record cannot be read, or the database fails while they are compared', async () => {
    const made = await market();
    await made.commit(Array.from({ length: SIZES.flushAtListings }, (_, i) => named(i, `maize ${i}`)));
    await made.index.idle();
    await made.db.level.batch([put(fullKey('records', named(7, '').key), new Uint8Array([1, 2, 3, 4, 5]))]);
    expect(await problems(made, made.db.level)).toEqual([undefined]);
    const failing = watched(made.db, async (name) => name === 'get' && raise());
    await expect(problems(made, failing)).rejects.toThrow('there is none');
  });

  it('are written and compared in turns, however many words they have', async () => {
    const texts = Array.from({ length: 120 }, (_, i) =>
      Array.from({ length: 700 }, (_, n) => `w${letters(i * 700 + n)}`).join(' '),
    );
    const made = await market();
    await made.commit(texts.map((text, i) => named(i, text)));
    await made.index.idle();
    let since = process.threadCpuUsage();
    let longest = 0;
    const look = (): void => {
      const { user } = process.threadCpuUsage(since);
      longest = Math.max(longest, user / 1000);
      since = process.threadCpuUsage();
    };
    const env = {
      ...systemEnv,
      after: (ms: number, done: () => void) => (look(), systemEnv.after(ms, () => (look(), done()))),
    };
    const db = { level: made.db.level, batch: made.db.batch.bind(made.db), env };
    const listings = await listingsBetween(db, { from: 0, to: 120 });
    await writeSegment(db, 1, listings);
    const head = { no: 1, from: 0, to: 120, size: 120, terms: 0 };
    expect(await segmentProblem(db, head)).toBeUndefined();
    look();
    expect(longest).toBeLessThan(50);
  });

  it('are written when the listings have many words, however few they are, and joined no further', async () => {
    const made = await market({ flushAtTerms: 2000, largestTerms: 20_000 });
    const text = (i: number): string => Array.from({ length: 50 }, (_, n) => letters(i * 50 + n)).join(' ');
    const all = Array.from({ length: 600 }, (_, i) => named(i, text(i)));
    await made.index.idle();
    for (let i = 0; i < all.length; i += 20) await made.commit(all.slice(i, i + 20));
    await made.index.idle();
    const { segments } = (await readManifest(made.db)) ?? EMPTY_INDEX;
    const terms = segments.map((head) => head.terms);
    expect(Math.max(...terms)).toBeGreaterThan(12_000);
    expect(Math.max(...terms)).toBeLessThanOrEqual(20_000);
    const { listings, segments: count } = made.index.figures;
    expect([listings, count]).toEqual([600, segments.length]);
    // A title, its type, its status and its owner each.
    const inMemory = 600 - segments.reduce((sum, { size }) => sum + size, 0);
    expect(inMemory * 53).toBeLessThan(2000);
    expect(terms.reduce((sum, each) => sum + each, 0)).toBeGreaterThan((600 - inMemory) * 50);
    // As the form before had it, without terms: made anew.
    const older = {
      form: 1,
      place: 600,
      next: 99,
      segments: segments.map(({ no, from, to, size }) => ({ no, from, to, size })),
    };
    await made.db.level.put(MANIFEST, jsonWithChecksum(MANIFEST, older));
    await made.restart();
    await made.index.idle();
    expect((await readManifest(made.db))?.segments.every((head) => head.terms > 1000)).toBe(true);
    expect(made.index.figures.listings).toBe(600);
  });

  it('are mended once, however many searches come upon them, and again when that has ended', async () => {
    const made = await market();
    await made.commit(Array.from({ length: SIZES.flushAtListings }, (_, i) => named(i, 'maize')));
    await made.index.idle();
    const checks = vi.spyOn(SearchIndex.prototype, 'check');
    undo.push(async () => checks.mockRestore());
    for (let round = 1; round <= 2; round++) {
      // Lost, and malformed though the checksums hold.
      for (const [key] of await made.db.level.iterator(range('search')).all())
        if (key !== MANIFEST && round === 1) await made.db.level.del(key);
        else if (key !== MANIFEST)
          await made.db.level.put(key, withChecksum(key, new Uint8Array([255, 255, 255])));
      await made.restart();
      const asked = () => made.found({ clauses: clausesOf('maize'), sort: 'newest' }, { fields: {} }, 500);
      const answers = await Promise.allSettled(Array.from({ length: 20 }, asked));
      expect(answers.every(({ status }) => status === 'rejected')).toBe(true);
      await made.index.idle();
      expect(checks).toHaveBeenCalledTimes(round);
      expect(await asked()).toHaveLength(SIZES.flushAtListings);
    }
  });

  it('are made anew from nothing', async () => {
    const random = seededRandom(16);
    const made = await market();
    await made.commit(Array.from({ length: 1000 }, (_, i) => listing(random, i, i)));
    await made.index.idle();
    await made.db.level.clear(range('search'));
    await made.restart();
    await made.index.idle();
    await expectComplete(made, random, 50);
  });
});
