import type { Entry } from '../protocols/feed/entry.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import type { ForkProof } from '../protocols/feed/fork.ts';

const DAY_MS = 86_400_000;

/** A feed with its next entry; undefined where the entry does not follow. `row` is the feed before, `proof` that it was forked. */
export function followingFeed(
  feed: FeedState | undefined,
  no: number,
  entry: Entry,
  row: FeedState | undefined,
  proof: ForkProof | undefined,
): FeedState | undefined {
  const { author, header, hash } = entry;
  if (feed === undefined) return header.seq === 1 ? firstOf(no, entry, row, proof) : undefined;
  if (
    header.seq !== feed.seq + 1 ||
    header.prev !== feed.hash ||
    author !== feed.author ||
    header.epoch !== feed.epoch
  )
    return undefined;
  const next = { ...feed, seq: header.seq, hash };
  return feed.fork?.seq === header.seq + 1 ? { ...next, fork: { ...feed.fork, below: hash } } : next;
}

function firstOf(
  no: number,
  { author, header, hash }: Entry,
  row: FeedState | undefined,
  proof: ForkProof | undefined,
): FeedState {
  const { channel, epoch, after, time } = header;
  const day = row?.day ?? Math.floor(time[0] / DAY_MS);
  const first = { no, author, channel, epoch, seq: 1, hash, after, day };
  const isOfIt = proof?.author === author && proof.channel === channel && proof.epoch === epoch;
  if (!isOfIt) return first;
  return { ...first, fork: { seq: proof.seq, proof: proof.id, below: proof.seq === 2 ? hash : '' } };
}
