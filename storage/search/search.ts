import { CpuSlice } from '../../protocols/cpu-slice.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { loopTurn } from '../../protocols/ledger/turn.ts';
import { distanceKm } from '../../protocols/market/coordinates.ts';
import type { Clause } from '../../protocols/market/search-words.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { isOfOneRecord, type OnUnread, paged, type RecordPage, type Unread } from '../../protocols/unread.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../database.ts';
import { fullKey, numberKey } from '../keyspace.ts';
import { type ListFilter, matches } from '../list-filter.ts';
import { readRecords } from '../record-rows.ts';
import { allOf, bitmapOf, type Bits, intersect, placesOf, unionInto } from './bits.ts';
import type { Part } from './listings.ts';
import type { SearchIndex } from './search-index.ts';
import { isIn, type Search, termsOf } from './match.ts';

/** A listing by its place in the answer: by rank, the smallest first, then by change number, the newest first. */
interface Hit {
  readonly rank: number;
  readonly number: number;
}

/** CPU that a search may use before it yields to others, milliseconds. */
const SLICE_MS = 5;
/** Hits that a filter has dropped before a page may end early. */
const DROPPED = 256;
/** Hits beyond a page that are sorted out at first: for those that have changed since. */
const SPARE = 16;
const MOST_AT_ONCE = 4096;
/** How far a position in the index may be from that on the record, km. */
const MARGIN_KM = 0.01;

/** Listings of a search, page by page. */
export class Searches {
  readonly #db: Pick<Database, 'level' | 'env'>;
  readonly #index: SearchIndex;
  readonly #onUnread: OnUnread;

  constructor(db: Pick<Database, 'level' | 'env'>, index: SearchIndex, onUnread: OnUnread) {
    this.#db = db;
    this.#index = index;
    this.#onUnread = onUnread;
  }

  /**
   * A page of results. `isBehind`: not all listings are in the index yet. Throws `busy` when rows of the index cannot be read and
   * are being rebuilt.
   */
  async page(
    search: Search,
    filter: ListFilter,
    limit: number,
    cursor?: string,
  ): Promise<RecordPage & { readonly isBehind: boolean }> {
    await this.#index.caughtUp();
    const { isBehind } = this.#index;
    for (let tries = 1; ; tries++) {
      try {
        return { ...(await this.#page(search, filter, limit, cursor)), isBehind };
      } catch (error) {
        if (errorCode(error) !== 'value-damaged') throw error;
        // A segment may just have been replaced by another.
        if (tries < 3) continue;
        this.#index.repair(error);
        throw new AgrinetError('busy', 'a part of the search index is being made anew; try again', {
          cause: error,
        });
      }
    }
  }

  async #page(search: Search, filter: ListFilter, limit: number, cursor?: string): Promise<RecordPage> {
    const slice = new CpuSlice(this.#db.env, SLICE_MS);
    const give = async (): Promise<void> => {
      if (!slice.isOver()) return;
      await loopTurn(this.#db.env);
      slice.begin();
    };
    const parts = this.#index.parts();
    const records: RecordState[] = [];
    const unread: Unread[] = [];
    const page = (last?: Hit): RecordPage => ({ records, ...paged(unread, last && textOf(last)) });
    let after = cursor === undefined ? undefined : hitOf(cursor);
    let dropped = 0;
    for (let count = limit + SPARE; ; count = Math.min(count * 4, MOST_AT_ONCE)) {
      const hits = await bestHits(parts, search, filter, after, count, give);
      for (let at = 0; at < hits.length;) {
        const some = hits.slice(at, (at += Math.max(SPARE, limit - records.length)));
        for (const [i, state] of (await this.#records(some, unread)).entries()) {
          after = some[i];
          if (isLive(state) && this.#matches(state, filter, unread)) records.push(state);
          else dropped++;
          if (records.length >= limit) return page(after);
        }
        if (slice.isOver() && dropped >= DROPPED) return page(after);
        await give();
      }
      if (hits.length < count) return page();
    }
  }

  /** The records that are still at their numbers in the index. */
  async #records(hits: readonly Hit[], unread: Unread[]): Promise<(RecordState | undefined)[]> {
    const rows = await this.#db.level.getMany(
      hits.map(({ number }) => fullKey('changes', numberKey(number, 12))),
    );
    const keys = rows.map((row) => (row === undefined ? '' : Buffer.from(row).toString()) as RecordKey);
    const present = keys.filter((key) => key !== '');
    const told: OnUnread = (each) => {
      this.#onUnread(each);
      unread.push(each);
    };
    const states = new Map(
      (await readRecords(this.#db, present, told)).map((state, i) => [present[i], state]),
    );
    return keys.map((key) => states.get(key));
  }

  /** A filter that fails over a record leaves out that record. */
  #matches(state: RecordState, filter: ListFilter, unread: Unread[]): boolean {
    try {
      return matches(state, filter);
    } catch (error) {
      if (!isOfOneRecord(error)) throw error;
      this.#onUnread({ key: state.key, error });
      unread.push({ key: state.key, error });
      return false;
    }
  }
}

const textOf = ({ rank, number }: Hit): string => `${rank} ${number}`;

function hitOf(cursor: string): Hit {
  const [rank = 0, number = 0] = cursor.split(' ').map(Number);
  return { rank, number };
}

const inOrder = (a: Hit, b: Hit): number =>
  a.rank === b.rank ? b.number - a.number : a.rank < b.rank ? -1 : 1;

/** The first hits behind a place, at most `count`, in order. */
async function bestHits(
  parts: readonly Part[],
  search: Search,
  filter: ListFilter,
  after: Hit | undefined,
  count: number,
  give: () => Promise<void>,
): Promise<Hit[]> {
  let best: Hit[] = [];
  /** Behind it are enough already. */
  let worst: Hit | undefined;
  for (const part of parts) {
    const bits = await found(part, search, filter);
    if (bits !== undefined) {
      const [numbers, rankOf] = [await part.numbers(), await ranking(part, search, filter)];
      for (const place of placesOf(bits)) {
        const rank = rankOf(place);
        if (rank === undefined) continue;
        const hit = { rank, number: numbers[place] ?? 0 };
        if (after !== undefined && inOrder(hit, after) <= 0) continue;
        if (worst !== undefined && inOrder(hit, worst) > 0) continue;
        if (best.push(hit) < count * 2) continue;
        best = best.toSorted(inOrder).slice(0, count);
        worst = best.at(-1);
        await give();
      }
    }
    await give();
  }
  return best.toSorted(inOrder).slice(0, count);
}

/** Which listings of a part have all words and exact values; undefined for none. */
async function found(part: Part, { clauses }: Search, filter: ListFilter): Promise<Bits | undefined> {
  const bits = allOf(part.size);
  if (part.size === 0) return undefined;
  for (const clause of clauses) if (!intersect(bits, await ofClause(part, clause))) return undefined;
  for (const term of termsOf(filter)) {
    const having = await part.withWord(term);
    if (having === undefined || !intersect(bits, having)) return undefined;
  }
  return bits;
}

async function ofClause(part: Part, { any, prefix }: Clause): Promise<Bits> {
  const bits =
    prefix === undefined ? bitmapOf(part.size) : ((await part.withPrefix(prefix)) ?? bitmapOf(part.size));
  for (const words of any) {
    const all = allOf(part.size);
    let isThere = true;
    for (const word of words) {
      const having = await part.withWord(word);
      isThere = having !== undefined && intersect(all, having);
      if (!isThere) break;
    }
    if (isThere) unionInto(bits, all);
  }
  return bits;
}

/** The rank of each listing of a part; undefined for one that is not within a span or a circle. */
async function ranking(
  part: Part,
  { price, quantity, sort }: Search,
  { near }: ListFilter,
): Promise<(place: number) => number | undefined> {
  const column = part.column.bind(part);
  const [prices, quantities] = [
    price !== undefined || sort === 'price' ? await column('price') : undefined,
    quantity === undefined ? undefined : await column('quantity'),
  ];
  const [lats, longs] = near === undefined ? [] : [await column('lat'), await column('long')];
  const times = sort === 'newest' ? await column('time') : undefined;
  return (place) => {
    if (!isIn(price, prices?.[place]) || !isIn(quantity, quantities?.[place])) return undefined;
    const km = near === undefined ? 0 : distanceKm(degrees(lats?.[place], longs?.[place]), near);
    if (near !== undefined && !(km <= near.km + MARGIN_KM)) return undefined;
    if (sort === 'distance') return km;
    if (times !== undefined) return -(times[place] ?? 0);
    const own = prices?.[place] ?? Number.NaN;
    return Number.isNaN(own) ? Infinity : own; // without a price behind those that have one
  };
}

const degrees = (lat = Number.NaN, long = Number.NaN) => ({ lat: lat / 1e6, long: long / 1e6 });
