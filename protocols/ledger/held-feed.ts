import type { Entry } from '../feed/entry.ts';
import type { FeedState } from '../feed/feed.ts';
import { frontierOf } from '../feed/frontier.ts';
import type { EpochTail } from '../feed/header.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { dayOf } from './new-feeds.ts';
import type { LedgerStore } from './ports.ts';

/** The feed as it is held, or one of which nothing is held yet. `now` in milliseconds. */
export function feedOrNew(
  store: Pick<LedgerStore, 'feed' | 'nextFeedNo'>,
  { author, channel, epoch }: { author: PeerId; channel: Channel; epoch: string },
  now: number,
): FeedState {
  const held = store.feed(author, channel, epoch);
  if (held !== undefined) return held;
  return { no: store.nextFeedNo(), author, channel, epoch, seq: 0, hash: '', after: [], day: dayOf(now) };
}

/** The feed after one more entry. */
export function advanced(feed: FeedState, entry: Entry): FeedState {
  const { seq, after } = entry.header;
  const next = { ...feed, seq, hash: entry.hash, after: seq === 1 ? after : feed.after };
  return feed.fork?.seq === seq + 1 ? { ...next, fork: { ...feed.fork, below: entry.hash } } : next;
}

/** What a new epoch names in `after`: the frontier of the author's own feeds without forked ones, the most recently written last. */
export function tails(feeds: readonly FeedState[]): EpochTail[] {
  return frontierOf(feeds)
    .filter((item) => item.fork === undefined)
    .slice(0, LIMITS.afterEpochs)
    .map(({ epoch, seq, hash }) => ({ epoch, seq, hash }));
}
