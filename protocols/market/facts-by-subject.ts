import { LRUCache } from 'lru-cache';
import { Lazy } from '../lazy.ts';
import { atMost } from '../lru-bound.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { parsePeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';

export const RATING_LIMITS = {
  /**
   * Facts about one subject by one node that are read, those with the lowest keys: still a function of the facts alone, and more of
   * them could hardly change the one level that a node gives. The same for the ratings by a subject.
   */
  perNode: 1000,
  /** Readings of ratings kept: each costs two signatures. */
  readings: 50_000,
  /** Subjects whose facts are kept, of each kind. */
  subjects: 512,
  /** Facts read at once, after which other work gets its turn. */
  turn: 64,
} as const;

export interface SubjectReader {
  many(keys: readonly RecordKey[]): Promise<readonly (RecordState | undefined)[]>;
  keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]>;
}

/** Facts about the subjects requested last: a user, or all users of a node. */
export class FactsBySubject<T> {
  readonly #load: (subject: string) => Promise<readonly T[]>;
  readonly #kept = new LRUCache<string, Lazy<readonly T[]>>(atMost(RATING_LIMITS.subjects));

  constructor(load: (subject: string) => Promise<readonly T[]>) {
    this.#load = load;
  }

  of(subject: string): Promise<readonly T[]> {
    const kept = this.#kept.get(subject) ?? new Lazy(() => this.#load(subject));
    this.#kept.set(subject, kept);
    return kept.get();
  }

  /** A fact about a party, `user@peer-id`, was added or removed. */
  changed(party: unknown): void {
    if (typeof party !== 'string') return;
    this.#kept.delete(party);
    this.#kept.delete(nodeOf(party) ?? '');
  }

  clear(): void {
    this.#kept.clear();
  }
}

/** The facts of a collection whose `to` is a user, or somebody of a node: so many by each node. */
export async function factsAbout<T>(
  reader: SubjectReader,
  collection: 'ratings' | 'rating-notes',
  subject: string,
  read: (state: RecordState) => T,
  pause: () => Promise<void>,
): Promise<T[]> {
  const index = `${collection}.${parsePeerId(subject) === undefined ? 'to' : 'node'}`;
  const keys = await reader.keysOf(index, subject, RATING_LIMITS.perNode);
  const found: T[] = [];
  for (let i = 0; i < keys.length; i += RATING_LIMITS.turn)
    for (const state of await reader.many(keys.slice(i, i + RATING_LIMITS.turn))) {
      await pause();
      if (isLive(state)) found.push(read(state));
    }
  return found;
}
