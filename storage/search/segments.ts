import { sliced, soleTurn } from '../../protocols/ledger/turn.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { Database } from '../database.ts';
import { bitmapOf, placesOf, unionInto } from './bits.ts';
import { type ChangeSpan, listingsBetween, existing } from './changed-listings.ts';
import { kept, type Listings } from './listings.ts';
import { EMPTY_INDEX, type Manifest, manifestRow, readManifest } from './manifest.ts';
import { ownerTerm } from './searched.ts';
import { clearOrphans, clearSegments, joined, writeSegment } from './segment-build.ts';
import { segmentProblem } from './segment-check.ts';
import { Segment, SegmentReader, type SegmentSize } from './segment.ts';

/** The largest segments. Terms are those of each listing, added up: memory and work grow with them more than with listings. */
export interface LargestSegments {
  /** Listings of the largest segments: one is rewritten in a second of the main thread, in turns. */
  readonly largest: number;
  /** Terms of the largest segments. */
  readonly largestTerms: number;
}

/** So many small segments become one. */
const JOINED = 8;
/** Numbers that are checked to estimate how much of a segment has changed. */
const LOOKED_AT = 64;

export interface SegmentsParts {
  readonly db: Pick<Database, 'level' | 'batch' | 'env'>;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** The segments on disk, and the position in the order of changes up to which they go. Their rows are written one at a time. */
export class Segments {
  readonly #parts: SegmentsParts;
  readonly #largest: LargestSegments;
  readonly #rows: SegmentReader;
  readonly #writes = new SerialQueue();
  #manifest: Manifest = EMPTY_INDEX;
  #all: readonly Segment[] = [];
  #checked = 0;
  #stopped = false;

  constructor(parts: SegmentsParts, largest: LargestSegments) {
    this.#parts = parts;
    this.#largest = largest;
    this.#rows = new SegmentReader(parts.db);
  }

  get all(): readonly Segment[] {
    return this.#all;
  }

  get place(): number {
    return this.#manifest.place;
  }

  get isWriting(): boolean {
    return this.#writes.size > 0;
  }

  /** From now on none is checked. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#writes.idle();
  }

  /** Does something between two writings. */
  between<T>(work: () => Promise<T>): Promise<T> {
    return this.#writes.run(work);
  }

  /** Reads which there are, and finishes what a kill has cut off. Between two writings. */
  async read(): Promise<void> {
    const { db } = this.#parts;
    const manifest = await readManifest(db);
    await clearOrphans(db, manifest ?? EMPTY_INDEX);
    if (manifest === undefined) await db.batch([manifestRow(EMPTY_INDEX)], false);
    this.#rows.forget();
    this.#show(manifest ?? EMPTY_INDEX);
  }

  #show(manifest: Manifest): void {
    const known = new Map(this.#all.map((segment) => [segment.head.no, segment]));
    this.#manifest = manifest;
    this.#all = manifest.segments.map((head) => known.get(head.no) ?? new Segment(head, this.#rows));
  }

  /** Writes one more, of what was gathered up to a place: when records were `isSwept` meanwhile, only of what still stands. Between two writings. */
  async add(gathered: Listings, to: number, isSwept: boolean): Promise<void> {
    const { db } = this.#parts;
    const { gone } = gathered;
    const stands = isSwept ? await existing(db, gathered.numbers) : undefined;
    const stays = (number: number): boolean => stands?.has(number) ?? !gone.has(number);
    const left = isSwept || gone.size > 0 ? await sliced(kept(gathered, stays), soleTurn(db.env)) : gathered;
    await this.#replace([], left, { from: this.place, to });
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

  /** Merges small segments at the end, and rewrites one of which half has changed; soon. */
  tidy(): void {
    void this.#writes
      .run(() => this.#tidy())
      .catch((error: unknown) =>
        this.#parts.warn('segments of the search index were not joined', { err: error }),
      );
  }

  async #tidy(): Promise<void> {
    const small: Segment[] = [];
    for (const segment of this.#all.toReversed()) {
      const heads = [segment, ...small].map(({ head }) => head);
      if (!fits([scaled(segment.head, 2)], this.#largest) || !fits(heads, this.#largest)) break;
      small.unshift(segment);
    }
    if (small.length >= JOINED) await this.#join(small, await this.#isStale(small, 0.05));
    const segment = this.#all[this.#checked++ % Math.max(1, this.#all.length)];
    if (segment !== undefined && (await this.#isStale([segment], 0.5)))
      await this.#join(withNeighbour(this.#all, segment, this.#largest), true);
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

  /** Removes the words of changed, ended or removed listings of some owners from the rows. Between two writings. */
  async clear(owners: readonly string[]): Promise<void> {
    for (const segment of this.#all)
      if (await this.#hasGone(segment, owners)) await this.#join([segment], true);
  }

  /** Whether a segment has outdated listings of some owners. */
  async #hasGone(segment: Segment, owners: readonly string[]): Promise<boolean> {
    const own = bitmapOf(segment.size);
    for (const owner of owners) unionInto(own, (await segment.withWord(ownerTerm(owner))) ?? bitmapOf(0));
    const numbers = await segment.numbers();
    const theirs = Array.from(placesOf(own), (place) => numbers[place] ?? 0);
    return (await existing(this.#parts.db, theirs)).size < theirs.length;
  }

  /** Compares each segment with the records, and rewrites those that differ; `wait` is called after each. */
  async check(
    found: (what: 'damaged' | 'stale', from: number) => void,
    wait: () => Promise<void>,
  ): Promise<void> {
    for (const segment of this.#all) {
      await this.#writes.run(async () => {
        if (this.#stopped || !this.#all.includes(segment)) return;
        const problem = await segmentProblem(this.#parts.db, segment.head);
        if (problem === undefined) return;
        found(problem, segment.head.from);
        await this.#remake(segment);
      });
      await wait();
    }
  }

  async #remake(segment: Segment): Promise<void> {
    const { from, to } = segment.head;
    this.#rows.forget();
    await this.#replace([segment], await listingsBetween(this.#parts.db, { from, to }), { from, to });
  }
}

/** Whether what some segments have, in listings and terms, fits into one. */
function fits(some: readonly SegmentSize[], { largest, largestTerms }: LargestSegments): boolean {
  const sum = (of: keyof SegmentSize): number => some.reduce((total, each) => total + each[of], 0);
  return sum('size') <= largest && sum('terms') <= largestTerms;
}

const scaled = ({ size, terms }: SegmentSize, factor: number): SegmentSize => ({
  size: size * factor,
  terms: terms * factor,
});

/** A segment of which half has changed, with the one after it when what is left of both fits into one. */
function withNeighbour(all: readonly Segment[], segment: Segment, sizes: LargestSegments): Segment[] {
  const next = all[all.indexOf(segment) + 1];
  return next !== undefined && fits([scaled(segment.head, 0.5), next.head], sizes)
    ? [segment, next]
    : [segment];
}
