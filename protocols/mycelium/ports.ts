import type { FeedState } from '../feed/feed.ts';
import type { Gaps } from '../feed/gap.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';

/** What the replication protocols read. */
export interface FeedSource extends Gaps {
  feeds(author: PeerId, channel: Channel): readonly FeedState[];
  feedGroups(): { author: PeerId; channel: Channel; feeds: FeedState[] }[];
  entriesFrom(feedNo: number, from: number, to: number): AsyncIterable<Uint8Array>;
  entry(feedNo: number, seq: number): Promise<{ readonly hash: string } | undefined>;
  proof(feedNo: number): Promise<ForkProof | undefined>;
  /** Erasures of the entries `from` to `to`, by sequence. */
  erasures(
    feed: Pick<FeedState, 'author' | 'channel' | 'epoch'>,
    from: number,
    to: number,
  ): Promise<{ readonly seq: number; readonly bytes: Uint8Array }[]>;
}

/** Who may have what. */
export interface Access {
  /** Registered, and not suspended: our own protocols serve nobody else. */
  mayReplicate(peer: string): boolean;
  /** True when the peer takes part in the private record whose channel this is. */
  mayHold(peer: string, channel: Channel): boolean;
}

/** The newest open connection to a peer: after a cut the older ones are likely dead and not yet found out. */
export function newestConnection(
  libp2p: Pick<StreamHost, 'getConnections'>,
  peer: string,
): PeerConnection | undefined {
  return libp2p
    .getConnections()
    .filter((c) => c.remotePeer.toString() === peer && c.status === 'open')
    .reduce<PeerConnection | undefined>(
      (newest, c) => (newest === undefined || c.timeline.open >= newest.timeline.open ? c : newest),
      undefined,
    );
}
