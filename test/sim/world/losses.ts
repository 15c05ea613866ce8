import type { FeedState } from '../../../protocols/feed/feed.ts';
import { feedId } from '../../../protocols/feed/feed.ts';
import { range } from '../../../storage/keyspace.ts';
import { verifiedJson } from '../../../storage/values.ts';
import type { Chronicle } from './chronicle.ts';
import type { Member } from './member.ts';

/** How far a disk holds each feed. */
function heldOn({ disk }: Member): Map<string, number> {
  const held = new Map<string, number>();
  for (const key of disk.rows.keys(range('feeds'))) {
    const value = disk.rows.get(key);
    if (value === undefined) continue;
    const feed = verifiedJson<FeedState>(key, value);
    held.set(feedId(feed), feed.seq);
  }
  return held;
}

/**
 * After disks were lost: what an author's disk does not hold any more has to come back from others, and what no disk in the world holds
 * is gone. Only a disk that was lost excuses that: the rest of what is missing is a fault of the program.
 */
export function countLosses(chronicle: Chronicle, members: readonly Member[], restored?: Member): void {
  const disks = new Map(members.map((member) => [member, heldOn(member)]));
  for (const each of chronicle.acknowledged.values()) {
    const id = feedId(each);
    if (restored?.peerId === each.author && (disks.get(restored)?.get(id) ?? 0) < each.seq)
      each.authorLost = true;
    if (!each.authorLost || each.gone) continue;
    each.gone = ![...disks.values()].some((held) => (held.get(id) ?? 0) >= each.seq);
  }
}
