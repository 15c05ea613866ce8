import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { EpochTail } from './header.ts';

/** How far one feed is held. `no` is this node's own number for it, never on the wire. */
export interface FeedState {
  readonly no: number;
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  /** Entries 1..seq are held; 0 when only a proof is. */
  readonly seq: number;
  /** Hash of the header at `seq`; empty when seq is 0. */
  readonly hash: string;
  /** What the first header names in `after`; empty until that header is held. */
  readonly after: readonly EpochTail[];
  /** Lowest known fork: nothing at or above its seq has effect. */
  readonly fork?: {
    readonly seq: number;
    /** The proof's id, hex. */
    readonly proof: string;
    /** Hash of the header held below the fork; empty when nothing is held there. */
    readonly below: string;
    /** Entries whose ops are still to lose their effect, from one sequence to another: it goes on there, also after a crash. */
    readonly undoing?: { readonly from: number; readonly to: number };
  };
  /** Day (since 1970) on which this node first took an entry of it: bounds new epochs per day. */
  readonly day: number;
}

export function feedId(feed: { author: PeerId; channel: Channel; epoch: string }): string {
  return `${feed.author}|${feed.channel}|${feed.epoch}`;
}

/** What the first header names in `after`; nothing when that header is itself forked, because nodes may then hold different ones. */
export function effectiveAfter(feed: FeedState): readonly EpochTail[] {
  return feed.fork?.seq === 1 ? [] : feed.after;
}

/** The last entry that can have effect, and its hash; hash empty at 0. */
export function effectiveHead(feed: FeedState): { seq: number; hash: string } {
  if (feed.fork === undefined || feed.seq < feed.fork.seq) return { seq: feed.seq, hash: feed.hash };
  return { seq: feed.fork.seq - 1, hash: feed.fork.below };
}
