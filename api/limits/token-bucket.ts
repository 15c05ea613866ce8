import { LRUCache } from 'lru-cache';
import { atMost } from '../../protocols/lru-bound.ts';

/** Callers remembered at once: one forgotten only gets a full bucket. */
const REMEMBERED = 10_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** Token buckets by name; each holds one second's worth. Times in milliseconds. */
export interface Buckets {
  /** Takes one token; returns how long to wait for one in milliseconds when there is none, else 0. */
  take(name: string, now: number): number;
  /** Takes more in addition, into debt of at most one second's worth. */
  charge(name: string, tokens: number, now: number): void;
}

export function createBuckets(perSecond: number): Buckets {
  const known = new LRUCache<string, Bucket>(atMost(REMEMBERED));
  function filled(name: string, now: number): Bucket {
    const bucket = known.get(name);
    if (bucket === undefined) {
      const made = { tokens: perSecond, at: now };
      known.set(name, made);
      return made;
    }
    // A clock that was set back adds nothing and takes nothing.
    const gained = (Math.max(0, now - bucket.at) * perSecond) / 1000;
    bucket.tokens = Math.min(perSecond, bucket.tokens + gained);
    bucket.at = now;
    return bucket;
  }
  return {
    take(name, now) {
      const bucket = filled(name, now);
      if (bucket.tokens < 1) return ((1 - bucket.tokens) * 1000) / perSecond;
      bucket.tokens--;
      return 0;
    },
    charge(name, tokens, now) {
      const bucket = filled(name, now);
      bucket.tokens = Math.max(-perSecond, bucket.tokens - tokens);
    },
  };
}
