import { LRUCache } from 'lru-cache';
import { atMost } from '../protocols/lru-bound.ts';
import type { PullEvent } from '../protocols/mycelium/pull-event.ts';
import type { Logger } from './logger.ts';

/** How an exchange fails whose other side is slow. */
const SLOW: ReadonlySet<string> = new Set(['pull-slow', 'answer-slow', 'stream-timeout']);
/** A peer that repeats the offence is logged once in this time, with the number of times. */
const AGAIN_MS = 10 * 60_000;
/** Peers remembered; the one that was named longest ago is forgotten first. */
const REMEMBERED = 1024;

/** Whose turn it is to be named: what a peer does as often as it likes fills no log. */
class Named {
  readonly #now: () => number;
  readonly #peers = new LRUCache<string, { at: number; times: number }>(atMost(REMEMBERED));

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How often it was since the peer was named last, when it is to be named now; otherwise it is only counted. */
  again(peer: string): number | undefined {
    const now = this.#now();
    const known = this.#peers.peek(peer);
    const times = (known?.times ?? 0) + 1;
    if (known !== undefined && now - known.at < AGAIN_MS) {
      known.times = times;
      return undefined;
    }
    this.#peers.set(peer, { at: now, times: 0 });
    return times;
  }
}

/**
 * Names in the log the peers whose exchanges were ended because they only trickled, and those that show other digests of equal frontiers;
 * the metrics count all of them.
 */
export function createPeerWarnings(
  logger: Pick<Logger, 'warn' | 'error'>,
  now: () => number,
): (event: PullEvent) => void {
  const [slow, differing] = [new Named(now), new Named(now)];
  return (event) => {
    if (event.kind === 'pull-failed' && SLOW.has(event.code)) {
      const { peer, code } = event;
      const times = slow.again(peer);
      if (times !== undefined)
        logger.warn({ peer, code, times }, 'a peer was too slow: its exchanges were ended');
    }
    if (event.kind === 'digest-differs') {
      const { peer, author } = event;
      const times = differing.again(peer);
      if (times !== undefined)
        logger.error(
          { peer, author, times },
          'equal frontier but unequal digest: agrinet doctor --diff names the records',
        );
    }
  };
}
