import { LRUCache } from 'lru-cache';
import type { Env } from '../env.ts';
import { atMost } from '../lru-bound.ts';
import { refill, type TokenBucket } from '../token-bucket.ts';

export interface AskLimits {
  /** So many questions at once. */
  readonly askBurst: number;
  /** And one more after this time, milliseconds. */
  readonly askEveryMs: number;
  /** So many pages, of either side, cost as much as one more question. */
  readonly askPages: number;
}

/** Peers whose questions are counted; of one that asked longer ago than all of these nothing is owed any more. */
const REMEMBERED = 4096;

/**
 * How often a peer is answered: answers cost this thread CPU, by what is compared and by the pages that go either way. Places (`AnswerSlots`) bound
 * what is under way at a time, and whoever asks again at each answer would keep the thread busy with two of them.
 */
export class AskBudget {
  readonly #limits: AskLimits;
  readonly #env: Pick<Env, 'monotonic'>;
  readonly #peers = new LRUCache<string, TokenBucket>(atMost(REMEMBERED));

  constructor(limits: AskLimits, env: Pick<Env, 'monotonic'>) {
    this.#limits = limits;
    this.#env = env;
  }

  /** Whether this question is answered, which counts. */
  take(peer: string): boolean {
    const asked = this.#of(peer);
    if (asked.left < 1) return false;
    asked.left--;
    return true;
  }

  /** An answered question took so many pages: the peer may owe for them. */
  charge(peer: string, pages: number): void {
    this.#of(peer).left -= pages / this.#limits.askPages;
  }

  #of(peer: string): TokenBucket {
    const { askBurst, askEveryMs } = this.#limits;
    const now = this.#env.monotonic();
    const known = this.#peers.get(peer) ?? { left: askBurst, at: now };
    refill(known, askBurst, askEveryMs, now);
    this.#peers.set(peer, known);
    return known;
  }
}
