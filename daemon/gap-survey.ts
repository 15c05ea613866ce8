import type { Entry } from '../protocols/feed/entry.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import { type Gap, isKept } from '../protocols/feed/gap.ts';
import { placedOps } from '../protocols/ledger/placed-ops.ts';
import type { PlacedOp } from '../protocols/open-dialog/record.ts';

/** Beyond every sequence: a forgotten feed has entries behind its head. */
export const LAST_SEQ = 0xff_ff_ff_ff;

/** The ops of a stored entry that have effect: below a fork, and beyond the head of a forgotten feed those that were kept. */
export function opsInEffect(feed: FeedState, gap: Gap | undefined, entry: Entry): PlacedOp[] {
  const { seq } = entry.header;
  if (seq >= (feed.fork?.seq ?? Infinity)) return [];
  const placed = placedOps(entry);
  return seq <= feed.seq ? placed : placed.filter(({ index }) => isKept(gap, seq, index));
}

/** Whether an entry is the one kept at this place according to a gap. */
export function isOfGap({ author, channel, epoch }: Gap, seq: number, entry: Entry): boolean {
  const { header } = entry;
  return (
    entry.author === author && header.channel === channel && header.epoch === epoch && header.seq === seq
  );
}

/** A forgotten feed of which no entry is held in order. */
export function forgottenFeed(
  { no, author, channel, epoch, at }: Gap,
  known: FeedState | undefined,
): FeedState {
  const day = known?.day ?? Math.floor(at / 86_400_000);
  return { no, author, channel, epoch, seq: 0, hash: '', after: [], day };
}
