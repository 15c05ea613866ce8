import { pause } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { RecordChange } from '../../protocols/ledger/ports.ts';
import { loopTurn, sliced, soleTurn } from '../../protocols/ledger/turn.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { Database } from '../database.ts';
import { innerKey } from '../keyspace.ts';
import { bitmapOf, placesOf, unite } from './bits.ts';
import { kept, Listings, type Part } from './listings.ts';
import {
  changeRange,
  CHANGES_AT_ONCE,
  type ChangeSpan,
  existing,
  listingsBetween,
  listingsOf,
} from './changed-listings.ts';
import { EMPTY_INDEX, type Manifest, manifestRow, readManifest } from './manifest.ts';
import { clearOrphans, clearSegments, joined, writeSegment } from './segment-build.ts';
import { segmentProblem } from './segment-check.ts';
import { ownerTerm, searchedOf } from './searched.ts';
import { Segment, SegmentReader, type SegmentSize } from './segment.ts';
import { chunks } from '../level.ts';
import type { StoredRecord } from '../stored-record.ts';

/**
 * The sizes of memory and segments. Terms are those of each listing, added up: memory and work grow with them more than with
 * listings.
 */
export interface SearchSizes {
  /** Listings that are gathered in memory until they become a segment; a start reads as many again. */
  readonly flushAtListings: number;
  /** Terms of which there are as many, when the listings have long texts. */
  readonly flushAtTerms: number;
  /** Listings of the largest segments: one is rewritten in a second of the main thread, in turns. */
  readonly largest: number;
  /** Terms of the largest segments. */
  readonly largestTerms: number;
}
const SIZES: SearchSizes = {
  flushAtListings: 4096,
  flushAtTerms: 400_000,
  largest: 32_768,
  largestTerms: 1_600_000,
};
/** Changes of whatever kind that a start may have to pass over. */
const PLACE_AFTER = 50_000;
/** So many small segments become one. */
const JOINED = 8;
/** Numbers that are checked to estimate how much of a segment has changed. */
const LOOKED_AT = 64;
/** How long a search waits for what was just written, milliseconds. */
const CATCH_UP_MS = 250;
/** Listings that may wait to be added; beyond it they are read from the disk. */
const WAITING = 8192;

export interface SearchIndexParts {
  readonly db: Pick<Database, 'level' | 'batch' | 'env'>;
  /** The position of a current state in the order of changes; undefined for a private one. */
  readonly changeOf: (state: RecordState) => number | undefined;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
  /** Others than the index's own; for tests. */
  readonly sizes?: Partial<SearchSizes>;
}

interface Noted {
  readonly number: number;
  readonly state: RecordState;
}

/**
 * The inverted index of all listings. It follows the order of changes: a listing is in it under the number of its change, and a
 * search checks whether a record still has that number. So what is changed, ended, erased or forgotten is no longer found at once,
 * and leaves the rows when they are written next. The newest listings are in memory; a start reads them again, from the recorded
 * position.
 */
export class SearchIndex {
  readonly #parts: SearchIndexParts;
  readonly #sizes: SearchSizes;
  readonly #rows: SegmentReader;
  /** Writes rows: one at a time. */
  readonly #writes = new SerialQueue();
  #manifest: Manifest = EMPTY_INDEX;
  #segments: readonly Segment[] = [];
  /** The listings being written as a segment. */
  #flushing: Listings | undefined;
  #last = new Listings();
  #place = 0;
  #noted: Noted[] = [];
  #isTaking = false;
  /** The newest change of all commits reported so far. */
  #newest = 0;
  /** Whether the reported commits are everything after the position; otherwise it is read from the disk. */
  #isNear = false;
  /** A commit, or more, was reported since reading from the disk began. */
  #more = true;
  #reload = true;
  /** How often the memory was started again: a caller that waited meanwhile would use outdated data. */
  #opened = 0;
  #running: Promise<void> | undefined;
  #stopped = false;
  #checked = 0;
  /** What a search found damaged is being repaired. */
  #isMending = false;
  /** Records were removed without a trace among the changes: the memory is checked before it is written. */
  #isSwept = false;

  constructor(parts: SearchIndexParts) {
    this.#parts = parts;
    this.#sizes = { ...SIZES, ...parts.sizes };
    this.#rows = new SegmentReader(parts.db);
  }

  /** Begins to follow. */
  start(): void {
    this.#go();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#writes.idle();
  }

  /** Takes in what a commit changed, soon. */
  note(changes: readonly RecordChange[]): void {
    this.#more = true;
    for (const { after } of changes) {
      const number = this.#parts.changeOf(after);
      if (number === undefined) continue;
      this.#newest = Math.max(this.#newest, number);
      if (this.#isNear && number > this.#place && after.key.startsWith('listings/'))
        this.#noted.push({ number, state: after });
    }
    if (this.#noted.length > WAITING) this.again();
    this.#go();
  }

  /** Something else wrote records: reads on from the disk. */
  again(): void {
    this.#isNear = false;
    this.#more = true;
    this.#noted = [];
    this.#go();
  }

  /** The database was reopened: what was in it is no longer known. */
  reopened(): void {
    this.#reload = true;
    this.again();
  }

  /** Resolves when everything reported so far is in, or after the longest time that a search should wait. */
  async caughtUp(): Promise<void> {
    if (this.#running === undefined) return;
    const waited = new AbortController();
    await Promise.race([this.#running, pause(this.#parts.db.env, CATCH_UP_MS, waited.signal)]);
    waited.abort();
  }

  /** Whether it is being built, or reads what it has missed: then results are incomplete. */
  get isBehind(): boolean {
    return !this.#isNear || this.#noted.length > 0 || this.#isTaking;
  }

  /** Resolves when nothing is left to do; for tests and figures. */
  async idle(): Promise<void> {
    while (this.#running !== undefined || this.#writes.size > 0) {
      await this.#running;
      await this.#writes.idle();
    }
  }

  /** All that is searched, as it is now. */
  parts(): Part[] {
    const memory = [this.#flushing, this.#last].flatMap((listings) => listings?.part() ?? []);
    return [...this.#segments, ...memory];
  }

  get figures(): { readonly segments: number; readonly listings: number; readonly place: number } {
    const listings = this.parts().reduce((sum, { size }) => sum + size, 0);
    return { segments: this.#segments.length, listings, place: this.#place };
  }

  #go(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#running = this.#follow()
      .catch((error: unknown) => {
        // What could not be written is not lost: it is read again when the database is available again.
        this.#reload = true;
        this.#isNear = false;
        this.#parts.warn('the search index does not follow; it goes on with the next change', { err: error });
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #follow(): Promise<void> {
    const { env } = this.#parts.db;
    await loopTurn(env); // whoever commits does not wait for it
    const turn = soleTurn(env);
    while (!this.#stopped) {
      if (this.#reload) await this.#writes.run(() => this.#open());
      if (!this.#isNear) {
        await this.#readOn();
        continue;
      }
      const noted = this.#noted;
      this.#noted = [];
      const newest = this.#newest;
      this.#isTaking = true;
      for (const { number, state } of noted) {
        this.#take(number, state);
        if (turn.isOver()) await turn.next();
        if (this.#stopped || !this.#isNear) break;
        if (this.#isFull()) await this.#flush();
      }
      this.#isTaking = false;
      if (!this.#isNear) continue;
      this.#place = Math.max(this.#place, newest);
      if (this.#place - this.#manifest.place > PLACE_AFTER) await this.#flush();
      if (this.#noted.length === 0) return;
    }
  }

  #take(number: number, state: RecordState): void {
    if (number <= this.#place) return;
    const listing = searchedOf(state);
    this.#last.changed(state.key);
    if (listing !== undefined) this.#last.take(state.key, number, listing);
    this.#place = number;
  }

  /** Reads which segments there are, and forgets what was in memory; between two writings. */
  async #open(): Promise<void> {
    if (!this.#reload) return;
    const { db } = this.#parts;
    const manifest = await readManifest(db);
    if (manifest === undefined) {
      await clearOrphans(db, EMPTY_INDEX);
      await db.batch([manifestRow(EMPTY_INDEX)], false);
    } else await clearOrphans(db, manifest);
    this.#rows.forget();
    this.#show(manifest ?? EMPTY_INDEX);
    this.#flushing = undefined;
    this.#last = new Listings();
    this.#place = this.#manifest.place;
    this.#isNear = false;
    this.#noted = [];
    this.#reload = false;
    this.#opened++;
  }

  #show(manifest: Manifest): void {
    const known = new Map(this.#segments.map((segment) => [segment.head.no, segment]));
    this.#manifest = manifest;
    this.#segments = manifest.segments.map((head) => known.get(head.no) ?? new Segment(head, this.#rows));
  }

  /** Adds what comes after the position on disk. */
  async #readOn(): Promise<void> {
    const { db } = this.#parts;
    const turn = soleTurn(db.env);
    const opened = this.#opened;
    const isOver = (): boolean => this.#stopped || this.#reload || this.#opened !== opened;
    this.#more = false;
    const take = (number: number, { state }: StoredRecord): void => {
      if (!isOver()) this.#take(number, state);
    };
    for await (const some of chunks(db.level.iterator(changeRange(this.#place)), CHANGES_AT_ONCE)) {
      if (isOver()) return;
      await listingsOf(db, turn, some, take);
      if (isOver()) return;
      this.#place = Math.max(this.#place, Number.parseInt(innerKey(some.at(-1)?.[0] ?? ''), 16));
      if (this.#isFull() || this.#place - this.#manifest.place > PLACE_AFTER) await this.#flush();
      if (turn.isOver()) await turn.next();
    }
    if (!this.#more && !isOver()) this.#isNear = true;
  }

  /** Whether enough is in memory for a segment. */
  #isFull(): boolean {
    const { flushAtListings, flushAtTerms } = this.#sizes;
    return this.#last.size >= flushAtListings || this.#last.terms >= flushAtTerms;
  }

  /** Writes the listings in memory as a segment. */
  async #flush(): Promise<void> {
    this.#flushing = this.#last;
    this.#last = new Listings();
    const [segment, place] = [this.#flushing, this.#place];
    await this.#writes.run(async () => {
      const { place: from } = this.#manifest;
      const { gone } = segment;
      const isSwept = this.#isSwept;
      this.#isSwept = false;
      const stands = isSwept ? await existing(this.#parts.db, segment.numbers) : undefined;
      const stays = (number: number): boolean => stands?.has(number) ?? !gone.has(number);
      const left =
        isSwept || gone.size > 0 ? await sliced(kept(segment, stays), soleTurn(this.#parts.db.env)) : segment;
      await this.#replace([], left, { from, to: place });
      this.#flushing = undefined;
    });
    void this.#writes
      .run(() => this.#tidy())
      .catch((error: unknown) =>
        this.#parts.warn('segments of the search index were not joined', { err: error }),
      );
  }

  /** Puts one segment in the place of some, or at the end. */
  async #replace(old: readonly Segment[], listings: Listings, { from, to }: ChangeSpan): Promise<void> {
    const { db } = this.#parts;
    const no = this.#manifest.next;
    const head = { no, from, to, size: listings.size, terms: listings.terms };
    if (listings.size > 0) await writeSegment(db, no, listings);
    const gone = new Set(old.map((segment) => segment.head.no));
    const segments = [
      ...this.#manifest.segments.filter((each) => !gone.has(each.no)),
      ...(listings.size > 0 ? [head] : []),
    ].toSorted((a, b) => a.to - b.to);
    const place = Math.max(this.#manifest.place, to);
    const manifest: Manifest = { ...this.#manifest, place, next: no + 1, segments };
    await db.batch([manifestRow(manifest)], false);
    this.#show(manifest);
    await clearSegments(db, gone);
  }

  /** `isCleared`: without what has changed. */
  async #join(segments: readonly Segment[], isCleared: boolean): Promise<void> {
    const [first, last] = [segments[0], segments.at(-1)];
    if (first === undefined || last === undefined) return;
    const range = { from: first.head.from, to: last.head.to };
    await this.#replace(segments, await joined(this.#parts.db, segments, isCleared), range);
  }

  /** Merges small segments at the end, and rewrites one of which half has changed. */
  async #tidy(): Promise<void> {
    const small: Segment[] = [];
    for (const segment of this.#segments.toReversed()) {
      const heads = [segment, ...small].map(({ head }) => head);
      if (!fits([scaled(segment.head, 2)], this.#sizes) || !fits(heads, this.#sizes)) break;
      small.unshift(segment);
    }
    if (small.length >= JOINED) await this.#join(small, await this.#isStale(small, 0.05));
    const segment = this.#segments[this.#checked++ % Math.max(1, this.#segments.length)];
    if (segment !== undefined && (await this.#isStale([segment], 0.5)))
      await this.#join(withNeighbour(this.#segments, segment, this.#sizes), true);
  }

  /** Whether more than a share of some segments has changed since, by checking some of their numbers. */
  async #isStale(segments: readonly Segment[], share: number): Promise<boolean> {
    const looked: number[] = [];
    for (const segment of segments) {
      const numbers = await segment.numbers();
      const step = Math.max(1, Math.floor((numbers.length * segments.length) / LOOKED_AT));
      looked.push(...numbers.filter((_, place) => place % step === 0));
    }
    const stand = await existing(this.#parts.db, looked);
    return looked.length - stand.size > share * looked.length;
  }

  /**
   * Removes the words of changed, ended or removed listings of some owners from the rows; what is in memory is written without them.
   * Segments without any are left as they are.
   */
  sweep(owners: readonly string[]): Promise<void> {
    this.#isSwept = true;
    return this.#writes.run(async () => {
      await this.#open(); // a start finishes what a kill has cut off
      for (const segment of this.#segments)
        if (await this.#hasGone(segment, owners)) await this.#join([segment], true);
    });
  }

  /** Whether a segment has outdated listings of some owners. */
  async #hasGone(segment: Segment, owners: readonly string[]): Promise<boolean> {
    const own = bitmapOf(segment.size);
    for (const owner of owners) unite(own, (await segment.withWord(ownerTerm(owner))) ?? bitmapOf(0));
    const numbers = await segment.numbers();
    const theirs = Array.from(placesOf(own), (place) => numbers[place] ?? 0);
    return (await existing(this.#parts.db, theirs)).size < theirs.length;
  }

  /** Compares each segment with the records, and rewrites those that differ; `wait` is called after each. */
  async check(
    found: (what: 'damaged' | 'stale', from: number) => void,
    wait: () => Promise<void>,
  ): Promise<void> {
    for (const segment of this.#segments) {
      await this.#writes.run(async () => {
        if (this.#stopped || !this.#segments.includes(segment)) return;
        const problem = await segmentProblem(this.#parts.db, segment.head);
        if (problem === undefined) return;
        found(problem, segment.head.from);
        await this.#remake(segment);
      });
      await wait();
    }
  }

  /** A search found rows that cannot be read: rebuilds them from the records. */
  mend(error: unknown): void {
    if (errorCode(error) !== 'value-damaged' || this.#isMending) return;
    this.#isMending = true;
    void this.check(
      (what, from) => this.#parts.warn('a segment of the search index was made anew', { what, from }),
      async () => undefined,
    )
      .catch((failed: unknown) => this.#parts.warn('the search index could not be mended', { err: failed }))
      .finally(() => {
        this.#isMending = false;
      });
  }

  async #remake(segment: Segment): Promise<void> {
    const { from, to } = segment.head;
    this.#rows.forget();
    await this.#replace([segment], await listingsBetween(this.#parts.db, { from, to }), { from, to });
  }
}

/** Whether what some segments have, in listings and terms, fits into one. */
function fits(some: readonly SegmentSize[], { largest, largestTerms }: SearchSizes): boolean {
  const sum = (of: keyof SegmentSize): number => some.reduce((total, each) => total + each[of], 0);
  return sum('size') <= largest && sum('terms') <= largestTerms;
}

const scaled = ({ size, terms }: SegmentSize, factor: number): SegmentSize => ({
  size: size * factor,
  terms: terms * factor,
});

/** A segment of which half has changed, with the one after it when what is left of both fits into one. */
function withNeighbour(all: readonly Segment[], segment: Segment, sizes: SearchSizes): Segment[] {
  const next = all[all.indexOf(segment) + 1];
  return next !== undefined && fits([scaled(segment.head, 0.5), next.head], sizes)
    ? [segment, next]
    : [segment];
}
