import { pause } from '../../protocols/env.ts';
import type { RecordChange } from '../../protocols/ledger/ports.ts';
import { loopTurn, soleTurn } from '../../protocols/ledger/turn.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { innerKey } from '../keyspace.ts';
import { Listings, type Part } from './listings.ts';
import { changeRange, CHANGES_AT_ONCE, listingsOf } from './changed-listings.ts';
import { searchedOf } from './searched.ts';
import { chunks } from '../level.ts';
import type { StoredRecord } from '../stored-record.ts';
import { type LargestSegments, Segments, type SegmentsParts } from './segments.ts';
import { errorCode } from '../../protocols/errors.ts';

/** How much is gathered in memory, and in each segment. */
export interface SearchSizes extends LargestSegments {
  /** Listings that are gathered in memory until they become a segment; a start reads as many again. */
  readonly flushAtListings: number;
  /** Terms of which there are as many, when the listings have long texts. */
  readonly flushAtTerms: number;
}
const SIZES: SearchSizes = {
  flushAtListings: 4096,
  flushAtTerms: 400_000,
  largest: 32_768,
  largestTerms: 1_600_000,
};
/** Changes of whatever kind that a start may have to pass over. */
const PLACE_AFTER = 50_000;
/** How long a search waits for what was just written, milliseconds. */
const CATCH_UP_MS = 250;
/** Listings that may wait to be added; beyond it they are read from the disk. */
const WAITING = 8192;

export interface SearchIndexParts extends SegmentsParts {
  /** The position of a current state in the order of changes; undefined for a private one. */
  readonly changeOf: (state: RecordState) => number | undefined;
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
  readonly #segments: Segments;
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
  /** What a search found damaged is being repaired. */
  #isMending = false;
  /** Records were removed without a trace among the changes: the memory is checked before it is written. */
  #isSwept = false;

  constructor(parts: SearchIndexParts) {
    this.#parts = parts;
    this.#sizes = { ...SIZES, ...parts.sizes };
    this.#segments = new Segments(parts, this.#sizes);
  }

  /** Begins to follow. */
  start(): void {
    this.#go();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#segments.stop();
    await this.#running;
    await this.#segments.idle();
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
    while (this.#running !== undefined || this.#segments.isWriting) {
      await this.#running;
      await this.#segments.idle();
    }
  }

  /** All that is searched, as it is now. */
  parts(): Part[] {
    const memory = [this.#flushing, this.#last].flatMap((listings) => listings?.part() ?? []);
    return [...this.#segments.all, ...memory];
  }

  get figures(): { readonly segments: number; readonly listings: number; readonly place: number } {
    const listings = this.parts().reduce((sum, { size }) => sum + size, 0);
    return { segments: this.#segments.all.length, listings, place: this.#place };
  }

  #go(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#running = this.#follow()
      .catch((error: unknown) => {
        // What could not be written is not lost: it is read again when the database is available again.
        this.#reload = true;
        this.#isNear = false;
        this.#parts.warn('the search index could not be updated; it retries with the next change', {
          err: error,
        });
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
      if (this.#reload) await this.#segments.between(() => this.#open());
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
      if (this.#place - this.#segments.place > PLACE_AFTER) await this.#flush();
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
    await this.#segments.read();
    this.#flushing = undefined;
    this.#last = new Listings();
    this.#place = this.#segments.place;
    this.#isNear = false;
    this.#noted = [];
    this.#reload = false;
    this.#opened++;
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
      if (this.#isFull() || this.#place - this.#segments.place > PLACE_AFTER) await this.#flush();
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
    const [gathered, place] = [this.#flushing, this.#place];
    await this.#segments.between(async () => {
      const isSwept = this.#isSwept;
      this.#isSwept = false;
      await this.#segments.add(gathered, place, isSwept);
      this.#flushing = undefined;
    });
    this.#segments.tidy();
  }

  /**
   * Removes the words of changed, ended or removed listings of some owners from the rows; what is in memory is written without them.
   * Segments without any are left as they are.
   */
  sweep(owners: readonly string[]): Promise<void> {
    this.#isSwept = true;
    return this.#segments.between(async () => {
      await this.#open(); // a start finishes what a kill has cut off
      await this.#segments.clear(owners);
    });
  }

  /** Compares each segment with the records, and rewrites those that differ; `wait` is called after each. */
  check(found: (what: 'damaged' | 'stale', from: number) => void, wait: () => Promise<void>): Promise<void> {
    return this.#segments.check(found, wait);
  }

  /** A search found rows that cannot be read: rebuilds them from the records. */
  repair(error: unknown): void {
    const { warn } = this.#parts;
    if (errorCode(error) !== 'value-damaged' || this.#isMending) return;
    this.#isMending = true;
    void this.check(
      (what, from) => warn('a segment of the search index was made anew', { what, from }),
      async () => undefined,
    )
      .catch((failed: unknown) => warn('the search index could not be repaired', { err: failed }))
      .finally(() => {
        this.#isMending = false;
      });
  }
}
