import { LRUCache } from 'lru-cache';
import { Lazy } from '../lazy.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { atMost } from '../lru-bound.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { type OnUnread, type Page, paged, readOne, type RecordPage } from '../unread.ts';
import { parsePeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { KeptFacts } from './kept-facts.ts';
import { nodeOf } from './party.ts';
import { type NoteInput, readNote } from './rating-notes.ts';
import { type Rating, readRating } from './rating.ts';
import { RATING_LIMITS, RatingsBySubject } from './ratings-by-subject.ts';
import { reputationProof, type ReputationProof, type ReputationView } from './reputation.ts';

/** Somebody who has been rated, `user@peer-id`, and when last, milliseconds since 1970. */
export interface Rated {
  readonly subject: string;
  readonly at: number;
}

interface RatingsReader {
  get(key: RecordKey): Promise<RecordState | undefined>;
  many(keys: readonly RecordKey[]): Promise<readonly (RecordState | undefined)[]>;
  keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]>;
  all(collection: string, onUnread?: OnUnread): AsyncGenerator<RecordState>;
  list(
    collection: string,
    query: { readonly fields: Readonly<Record<string, string | undefined>> },
    limit: number,
    cursor?: string,
  ): Promise<RecordPage>;
}

/** The trade that one rating is of. */
interface RatedTrade {
  readonly contract: string;
  readonly from: string;
  readonly to: string;
}

/** Ratings of settled contracts, own and others': public facts, each with the receipt that entitles to it, and the notes on them. */
export class Ratings {
  readonly #net: string;
  readonly #reader: RatingsReader;
  readonly #readings = new LRUCache<RecordKey, Rating>(atMost(RATING_LIMITS.readings));
  readonly #bySubject: RatingsBySubject;
  readonly #trades: KeptFacts<RatedTrade>;
  readonly #notes: KeptFacts<NoteInput>;
  readonly #rated = new Lazy(() => this.#readRated());

  constructor(net: string, reader: RatingsReader) {
    this.#net = net;
    this.#reader = reader;
    this.#bySubject = new RatingsBySubject(reader, (state) => this.read(state));
    this.#trades = new KeptFacts<RatedTrade>({
      collection: 'ratings',
      all: () => reader.all('ratings'),
      read: (state) => {
        const { contract, from, to, problem } = this.read(state);
        return problem === null ? { contract, from, to } : undefined;
      },
      groupsOf: ({ from, to }) => groupsOf(from, to),
    });
    this.#notes = new KeptFacts<NoteInput>({
      collection: 'rating-notes',
      all: () => reader.all('rating-notes', () => undefined),
      read: ({ key, view, created }) => readNote(key, view, created[0]),
      groupsOf: ({ rating }) => [rating],
    });
  }

  /** What a record says as a rating, checked against its receipt. */
  read({ key, view, created }: RecordState): Rating {
    let rating = this.#readings.get(key);
    if (rating === undefined)
      this.#readings.set(key, (rating = readRating(key, view, this.#net, created[0])));
    return rating;
  }

  /** One rating; undefined where there is none. */
  async get(key: RecordKey): Promise<Rating | undefined> {
    const state = await this.#reader.get(key);
    return isLive(state) ? this.read(state) : undefined;
  }

  /** All ratings, newest first, or those of one who is rated. */
  async list(to: string | undefined, limit: number, cursor?: string): Promise<Page<Rating>> {
    const page = await this.#reader.list('ratings', { fields: { to } }, limit, cursor);
    const items: Rating[] = [];
    const unread = [...(page.unread ?? [])];
    for (const state of page.records) {
      const one = await readOne(
        state.key,
        async () => this.read(state),
        (other) => unread.push(other),
      );
      if (one !== undefined && (to === undefined || one.to === to)) items.push(one);
    }
    return { items, ...paged(unread, page.cursor) };
  }

  /** What one party of a contract says of the other, as last corrected. */
  async current(contract: RecordKey, from: string, to: string): Promise<Rating | undefined> {
    const ratings = (await this.#bySubject.of(to)).filter(
      (one) => one.from === from && one.contract === contract && one.problem === null,
    );
    const corrected = new Set(ratings.map(({ supersedes }) => supersedes));
    return ratings.filter(({ id }) => !corrected.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1))[0];
  }

  /** Notes on a rating, in the order of their keys. */
  async notesOf(rating: string): Promise<readonly NoteInput[]> {
    const notes = [...(await this.#notes.of(rating)).values()];
    return notes.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Ratings by a user, or by all users of a node, the valid ones. */
  async by(subject: string): Promise<readonly Rating[]> {
    const all = [...(await this.#trades.of(`by ${subject}`)).keys()].sort();
    const keys = all.slice(0, RATING_LIMITS.perNode);
    const found: Rating[] = [];
    for (let i = 0; i < keys.length; i += RATING_LIMITS.turn)
      for (const state of await this.#reader.many(keys.slice(i, i + RATING_LIMITS.turn)))
        if (isLive(state)) found.push(this.read(state));
    return found;
  }

  /** Throws `subject-malformed`. */
  async proof(subject: string, view: ReputationView): Promise<ReputationProof> {
    const isSubject = parsePeerId(subject) !== undefined || nodeOf(subject) !== undefined;
    if (!isSubject) return reputationProof(subject, { received: [] }, view);
    const received = await this.#bySubject.of(subject);
    const notes: NoteInput[] = [];
    for (const { id } of received) notes.push(...(await this.#notes.of(id)).values());
    return reputationProof(subject, { received, given: await this.by(subject), notes }, view);
  }

  /** Everybody who has been rated, sorted. */
  rated(): Promise<readonly Rated[]> {
    return this.#rated.get();
  }

  /** The contract that a rating is of; undefined for one that does not count. */
  contractOf(rating: RecordState): RecordKey | undefined {
    if (!isLive(rating)) return undefined;
    const { contract, problem } = this.read(rating);
    return problem === null ? (contract as RecordKey) : undefined; // a statement of it was signed under that key
  }

  /** Contracts that users of a node have rated, or were rated, in. */
  async tradesOf(node: string): Promise<ReadonlySet<string>> {
    const trades = await this.#trades.of(`of ${node}`);
    return new Set([...trades.values()].map(({ contract }) => contract));
  }

  /** To be told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'before' | 'after'>[]): void {
    this.#trades.note(changes);
    this.#notes.note(changes);
    for (const { key, before, after } of changes) {
      if (!key.startsWith('ratings/')) continue;
      this.#rated.clear();
      if (!isLive(after)) this.#readings.delete(key);
      this.#bySubject.changed(before?.view['to']);
      this.#bySubject.changed(after.view['to']);
    }
  }

  /** After the database was opened anew. */
  forget(): void {
    this.#readings.clear();
    this.#bySubject.clear();
    this.#rated.clear();
    this.#trades.clear();
    this.#notes.clear();
  }

  async #readRated(): Promise<readonly Rated[]> {
    const last = new Map<string, number>();
    // Who was rated in a row that is damaged is not known; whoever else was is.
    for await (const { view, updated } of this.#reader.all('ratings', () => undefined)) {
      const to = view['to'];
      if (typeof to === 'string' && nodeOf(to) !== undefined)
        last.set(to, Math.max(last.get(to) ?? 0, updated[0]));
    }
    return [...last]
      .map(([subject, at]) => ({ subject, at }))
      .sort((a, b) => (a.subject < b.subject ? -1 : 1));
  }
}

/** By whom a rating is, user and node, and whose nodes it is of. */
function groupsOf(from: string, to: string): string[] {
  const [rater = '', rated = ''] = [nodeOf(from), nodeOf(to)];
  return [...new Set([`by ${from}`, `by ${rater}`, `of ${rater}`, `of ${rated}`])];
}
