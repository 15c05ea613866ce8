import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';
import { type Rating, readRating } from './rating.ts';
import { createRatedTrades } from './rated-trades.ts';
import { type RatingInput, trustProof, type TrustProof } from './trust.ts';
import { type OnUnread, readOne, type Unread } from '../unread.ts';

export const RATING_LIMITS = {
  /**
   * Ratings of one subject by one node that are looked at, those with the lowest keys: still a function of the facts alone, and
   * more of them could hardly move the one weight that node has.
   */
  perNode: 10_000,
  /** Readings kept: each costs two signatures. */
  readings: 50_000,
  /** Subjects whose inputs are kept. */
  subjects: 512,
  /** Readings after which other work gets its turn. */
  turn: 64,
} as const;

/** Somebody who has been rated, `user@peer-id`, and when last, milliseconds since 1970. */
export interface Rated {
  readonly subject: string;
  readonly at: number;
}

export interface RatingsParts {
  readonly net: string;
  readonly reader: {
    many(keys: readonly RecordKey[]): Promise<readonly (RecordState | undefined)[]>;
    keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]>;
    all(collection: string, onUnread?: OnUnread): AsyncGenerator<RecordState>;
    list(
      collection: string,
      query: { readonly fields: Readonly<Record<string, string | undefined>> },
      limit: number,
      cursor?: string,
    ): Promise<{
      readonly records: readonly RecordState[];
      readonly unread?: readonly Unread[];
      readonly cursor?: string;
    }>;
  };
}

/** Reads ratings, own and others'. */
export interface Ratings {
  /** What a record says as a rating, checked against its receipt. */
  read(state: RecordState): Rating;
  /** All ratings, newest first, or those of one who is rated. */
  list(
    to: string | undefined,
    limit: number,
    cursor?: string,
  ): Promise<{
    readonly items: readonly Rating[];
    readonly unread?: readonly Unread[];
    readonly cursor?: string;
  }>;
  /** What one party of a contract says of the other, as last corrected. */
  standing(contract: RecordKey, from: string, to: string): Promise<Rating | undefined>;
  /** Throws `subject-malformed`. */
  proof(subject: string, roots: readonly PeerId[]): Promise<TrustProof>;
  /** Everybody who has been rated, sorted. */
  rated(): Promise<readonly Rated[]>;
  /** The contract that a rating is of; undefined for one that does not count. */
  contractOf(rating: RecordState): RecordKey | undefined;
  /** Contracts that users of a node have rated, or were rated, in. */
  tradesOf(node: string): Promise<ReadonlySet<string>>;
  /** Told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'before' | 'after'>[]): void;
  /** Forgets what it has read. */
  forget(): void;
}

/** Ratings of settled contracts: public facts, each with the receipt that entitles to it. */
export function createRatings({ net, reader }: RatingsParts): Ratings {
  const readings = new Map<RecordKey, Rating>();
  const subjects = new Map<string, Promise<readonly Rating[]>>();
  let everybody: Promise<readonly Rated[]> | undefined;

  function remember<K, V>(map: Map<K, V>, key: K, value: V, most: number): V {
    map.delete(key);
    map.set(key, value);
    const [oldest] = map.keys();
    if (map.size > most && oldest !== undefined) map.delete(oldest);
    return value;
  }

  function read({ key, view }: RecordState): Rating {
    const known = readings.get(key);
    return known ?? remember(readings, key, readRating(key, view, net), RATING_LIMITS.readings);
  }

  const trades = createRatedTrades({ all: () => reader.all('ratings'), read });

  /** The ratings of a user, or of all users of a node, as far as an index tells them apart. */
  async function readAll(subject: string): Promise<readonly Rating[]> {
    const index = parsePeerId(subject) === undefined ? 'ratings.to' : 'ratings.node';
    const keys = await reader.keysOf(index, subject, RATING_LIMITS.perNode);
    const found: Rating[] = [];
    for (let i = 0; i < keys.length; i += RATING_LIMITS.turn) {
      for (const state of await reader.many(keys.slice(i, i + RATING_LIMITS.turn)))
        if (isLive(state)) found.push(read(state));
    }
    return found;
  }

  function inputsOf(subject: string): Promise<readonly Rating[]> {
    const known = subjects.get(subject);
    if (known !== undefined) return remember(subjects, subject, known, RATING_LIMITS.subjects);
    const reading = readAll(subject);
    void remember(subjects, subject, reading, RATING_LIMITS.subjects);
    reading.catch(() => {
      if (subjects.get(subject) === reading) subjects.delete(subject);
    });
    return reading;
  }

  function forget(to: unknown): void {
    if (typeof to !== 'string') return;
    subjects.delete(to);
    subjects.delete(nodeOf(to) ?? '');
  }

  async function standingOf(contract: RecordKey, from: string, to: string): Promise<Rating | undefined> {
    const ratings = (await inputsOf(to)).filter(
      (one) => one.from === from && one.contract === contract && one.problem === null,
    );
    const corrected = new Set(ratings.map(({ supersedes }) => supersedes));
    return ratings.filter(({ id }) => !corrected.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1))[0];
  }

  return {
    read,
    standing: standingOf,
    async list(to, limit, cursor) {
      const page = await reader.list('ratings', { fields: { to } }, limit, cursor);
      const items: Rating[] = [];
      const left = [...(page.unread ?? [])];
      for (const state of page.records) {
        const one = await readOne(
          state.key,
          async () => read(state),
          (unread) => left.push(unread),
        );
        if (one !== undefined && (to === undefined || one.to === to)) items.push(one);
      }
      return {
        items,
        ...(left.length === 0 ? {} : { unread: left }),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      };
    },
    async proof(subject, roots) {
      const ratings: readonly RatingInput[] =
        parsePeerId(subject) === undefined && nodeOf(subject) === undefined ? [] : await inputsOf(subject);
      return trustProof(subject, ratings, roots);
    },
    rated() {
      everybody ??= (async () => {
        const found = new Map<string, number>();
        // Who was rated in a row that is damaged is not known; whoever else was is.
        for await (const { view, updated } of reader.all('ratings', () => undefined)) {
          const to = view['to'];
          if (typeof to === 'string' && nodeOf(to) !== undefined)
            found.set(to, Math.max(found.get(to) ?? 0, updated[0]));
        }
        return [...found]
          .map(([subject, at]) => ({ subject, at }))
          .sort((a, b) => (a.subject < b.subject ? -1 : 1));
      })();
      const reading = everybody;
      reading.catch(() => {
        if (everybody === reading) everybody = undefined;
      });
      return reading;
    },
    contractOf(state) {
      if (!isLive(state)) return undefined;
      const { contract, problem } = read(state);
      return problem === null ? (contract as RecordKey) : undefined; // a statement of it was signed under that key
    },
    tradesOf: (node) => trades.of(node),
    note(changes) {
      trades.note(changes);
      for (const { key, before, after } of changes) {
        if (!key.startsWith('ratings/')) continue;
        everybody = undefined;
        if (!isLive(after)) readings.delete(key);
        forget(before?.view['to']);
        forget(after.view['to']);
      }
    },
    forget() {
      readings.clear();
      subjects.clear();
      everybody = undefined;
      trades.forget();
    },
  };
}
