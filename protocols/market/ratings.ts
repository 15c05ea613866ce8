import { LRUCache } from 'lru-cache';
import type { TurnEnv } from '../cpu-slice.ts';
import { Lazy } from '../lazy.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { atOnce, sliced, soleTurn } from '../ledger/turn.ts';
import { atMost } from '../lru-bound.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { type OnUnread, type Page, paged, readOne, type RecordPage } from '../unread.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { factsAbout, FactsBySubject, RATING_LIMITS, type SubjectReader } from './facts-by-subject.ts';
import { nodeOf } from './party.ts';
import { RatedTrades } from './rated-trades.ts';
import { type NoteInput, readNote } from './rating-notes.ts';
import { type Rating, readRating } from './rating.ts';
import {
  type RatingAuthorities,
  keptContracts,
  type KeptContracts,
  reputationProof,
  type ReputationProof,
  type ReputationView,
} from './reputation.ts';
import { displaced } from './displaced.ts';

/** A rated party, `user@peer-id`, and when it was last rated, milliseconds since 1970. */
export interface Rated {
  readonly subject: string;
  readonly at: number;
}

interface RatingsReader extends SubjectReader {
  get(key: RecordKey): Promise<RecordState | undefined>;
  all(collection: string, onUnread?: OnUnread, owner?: PeerId): AsyncGenerator<RecordState>;
  list(
    collection: string,
    query: { readonly fields: Readonly<Record<string, string | undefined>> },
    limit: number,
    cursor?: string,
  ): Promise<RecordPage>;
}

/** How a subject has kept its contracts, as one jury sees it. */
interface KeptFor {
  readonly jury: RatingAuthorities;
  readonly kept: KeptContracts;
}

/** Damaged rows are reported where they are read; what concerns all other parties is complete. */
const toNobody = (): void => undefined;

/** Ratings of settled contracts, own and others': public facts, each with the receipt that entitles to it, and the notes on them. */
export class Ratings {
  readonly #net: string;
  readonly #reader: RatingsReader;
  readonly #env: TurnEnv;
  readonly #turn: CpuTurn;
  readonly #readings = new LRUCache<RecordKey, Rating>(atMost(RATING_LIMITS.readings));
  readonly #received: FactsBySubject<Rating>;
  readonly #given: FactsBySubject<Rating>;
  readonly #notes: FactsBySubject<NoteInput>;
  /** By subject; results computed while something changes are not kept. */
  readonly #kept = new LRUCache<string, KeptFor>(atMost(RATING_LIMITS.subjects * 8));
  #changes = 0;
  readonly #trades: RatedTrades;
  readonly #rated = new Lazy(() => this.#readRated());

  constructor(net: string, reader: RatingsReader, env: TurnEnv) {
    this.#net = net;
    this.#reader = reader;
    this.#env = env;
    this.#turn = new CpuTurn(env);
    const pause = (): Promise<void> => this.#turn.pause();
    const read = (state: RecordState): Rating => this.read(state);
    this.#received = new FactsBySubject((subject) => factsAbout(reader, 'ratings', subject, read, pause));
    this.#given = new FactsBySubject((subject) => this.#readGiven(subject));
    this.#notes = new FactsBySubject((subject) => factsAbout(reader, 'rating-notes', subject, noteOf, pause));
    this.#trades = new RatedTrades(() => reader.all('ratings', toNobody), read, pause);
  }

  /** A record read as a rating, checked against its receipt. */
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

  /** All ratings, newest first, or those of one rated party. */
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

  /** A contract's rating by one party of the other, as last corrected. */
  async current(contract: RecordKey, from: string, to: string): Promise<Rating | undefined> {
    const ratings = (await this.#received.of(to)).filter(
      (one) => one.from === from && one.contract === contract && one.problem === null,
    );
    return currentOf(ratings);
  }

  /** Notes on a rating, in the order of their keys. */
  async notesOf({ id, to }: Pick<Rating, 'id' | 'to'>): Promise<readonly NoteInput[]> {
    return (await this.#notes.of(to)).filter(({ rating }) => rating === id).toSorted(byId);
  }

  /** Ratings by a user, or by all users of a node, the valid ones. */
  by(subject: string): Promise<readonly Rating[]> {
    return this.#given.of(subject);
  }

  /** Throws `subject-malformed`. */
  async proof(subject: string, view: ReputationView): Promise<ReputationProof> {
    const facts = {
      ...(await this.#facts(subject)),
      given: isSubject(subject) ? await this.by(subject) : [],
    };
    return sliced(reputationProof(subject, facts, view), soleTurn(this.#env));
  }

  /**
   * How a subject has kept its publicly rated contracts; computed again when something changed, or for other authorities. Throws
   * `subject-malformed`.
   */
  async keptContracts(subject: string, jury: RatingAuthorities): Promise<KeptContracts> {
    // A list asks for thousands, and each may be known.
    await this.#turn.pause();
    const known = this.#kept.get(subject);
    if (known?.jury.roots === jury.roots && known.jury.adjudicators === jury.adjudicators) return known.kept;
    const changes = this.#changes;
    const facts = await this.#facts(subject);
    const kept = await sliced(keptContracts(subject, facts, jury), soleTurn(this.#env));
    if (changes === this.#changes) this.#kept.set(subject, { jury, kept });
    return kept;
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
  tradesOf(node: string): Promise<ReadonlySet<string>> {
    return this.#trades.of(node);
  }

  /** To be called for each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'before' | 'after'>[]): void {
    this.#trades.note(changes);
    for (const { key, before, after } of changes) {
      const isRating = key.startsWith('ratings/');
      if (!isRating && !key.startsWith('rating-notes/')) continue;
      this.#changes++;
      const about = [before?.view['to'], after.view['to']];
      for (const to of about) {
        if (isRating) this.#received.changed(to);
        else this.#notes.changed(to);
        this.#kept.delete(String(to));
        this.#kept.delete(nodeOf(to) ?? '');
      }
      if (!isRating) continue;
      this.#rated.clear();
      if (!isLive(after)) this.#readings.delete(key);
      for (const from of [before?.view['from'], after.view['from']]) this.#given.changed(from);
    }
  }

  /** After the database was reopened. */
  forget(): void {
    this.#changes++;
    for (const kept of [this.#received, this.#given, this.#notes, this.#kept, this.#readings]) kept.clear();
    this.#rated.clear();
    this.#trades.clear();
  }

  async #facts(subject: string): Promise<{ received: readonly Rating[]; notes: readonly NoteInput[] }> {
    if (!isSubject(subject)) return { received: [], notes: [] };
    return { received: await this.#received.of(subject), notes: await this.#notes.of(subject) };
  }

  /** A valid rating is in the feed of its rater's node: no other need be read. */
  async #readGiven(subject: string): Promise<readonly Rating[]> {
    const node = parsePeerId(subject);
    const owner = node ?? nodeOf(subject);
    const found: Rating[] = [];
    if (owner === undefined) return found;
    for await (const state of this.#reader.all('ratings', toNobody, owner)) {
      if (found.length >= RATING_LIMITS.perNode) break;
      await this.#turn.pause();
      const isBy = node !== undefined || state.view['from'] === subject;
      const rating = isBy ? this.read(state) : undefined;
      if (rating?.problem === null) found.push(rating);
    }
    return found;
  }

  async #readRated(): Promise<readonly Rated[]> {
    const last = new Map<string, number>();
    // Whom a damaged row rates is not known; all others rated are.
    for await (const { view, updated } of this.#reader.all('ratings', toNobody)) {
      const to = view['to'];
      if (typeof to === 'string' && nodeOf(to) !== undefined)
        last.set(to, Math.max(last.get(to) ?? 0, updated[0]));
    }
    return [...last]
      .map(([subject, at]) => ({ subject, at }))
      .sort((a, b) => (a.subject < b.subject ? -1 : 1));
  }
}

/** Of several items on one matter the current one. */
export function currentOf<T extends { readonly id: string; readonly supersedes: string | null }>(
  words: readonly T[],
): T | undefined {
  const sorted = words.toSorted(byId);
  const others = atOnce(displaced(sorted, () => ''));
  return sorted.find(({ id }) => !others.has(id));
}

const isSubject = (text: string): boolean => parsePeerId(text) !== undefined || nodeOf(text) !== undefined;
const noteOf = ({ key, view, created }: RecordState): NoteInput => readNote(key, view, created[0]);
const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);
