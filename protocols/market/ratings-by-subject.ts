import { LRUCache } from 'lru-cache';
import { Lazy } from '../lazy.ts';
import { atMost } from '../lru-bound.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { parsePeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';
import type { Rating } from './rating.ts';

export const RATING_LIMITS = {
  /**
   * Ratings of one subject by one node that are looked at, those with the lowest keys: still a function of the facts alone, and
   * more of them could hardly move the one weight that node has.
   */
  perNode: 10_000,
  /** Readings kept: each costs two signatures. */
  readings: 50_000,
  /** Subjects whose ratings are kept. */
  subjects: 512,
  /** Readings after which other work gets its turn. */
  turn: 64,
} as const;

interface SubjectReader {
  many(keys: readonly RecordKey[]): Promise<readonly (RecordState | undefined)[]>;
  keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]>;
}

/** All ratings of those who were asked about last. */
export class RatingsBySubject {
  readonly #reader: SubjectReader;
  readonly #read: (state: RecordState) => Rating;
  readonly #kept = new LRUCache<string, Lazy<readonly Rating[]>>(atMost(RATING_LIMITS.subjects));

  constructor(reader: SubjectReader, read: (state: RecordState) => Rating) {
    this.#reader = reader;
    this.#read = read;
  }

  /** Those of a user, or of all users of a node. */
  of(subject: string): Promise<readonly Rating[]> {
    const kept = this.#kept.get(subject) ?? new Lazy(() => this.#readAll(subject));
    this.#kept.set(subject, kept);
    return kept.get();
  }

  /** Somebody, `user@peer-id`, was rated, or a rating of them is gone. */
  changed(to: unknown): void {
    if (typeof to !== 'string') return;
    this.#kept.delete(to);
    this.#kept.delete(nodeOf(to) ?? '');
  }

  clear(): void {
    this.#kept.clear();
  }

  async #readAll(subject: string): Promise<readonly Rating[]> {
    const index = parsePeerId(subject) === undefined ? 'ratings.to' : 'ratings.node';
    const keys = await this.#reader.keysOf(index, subject, RATING_LIMITS.perNode);
    const found: Rating[] = [];
    for (let i = 0; i < keys.length; i += RATING_LIMITS.turn) {
      for (const state of await this.#reader.many(keys.slice(i, i + RATING_LIMITS.turn)))
        if (isLive(state)) found.push(this.#read(state));
    }
    return found;
  }
}
