import type { Commit } from '../protocols/ledger/ports.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import type { OpRef } from '../protocols/open-dialog/record.ts';
import type { ListedVerdict } from './commit-rows.ts';
import type { Database } from './database.ts';
import { entryBytesIn } from './entry-row.ts';
import type { FeedTable } from './feed-table.ts';
import type { GapTable } from './gap-table.ts';
import { fullKey } from './keyspace.ts';
import { refKey } from './op-keys.ts';
import { UsageChanges } from './usage.ts';
import { verifiedJson } from './values.ts';

/** Rows read from the disk in one go. */
const ROWS_AT_ONCE = 64;

/** How a commit changes the storage that authors use. Only for ops evaluated before is their previous state looked up. */
export async function usageChanges(
  { db, gaps, feeds }: { readonly db: Database; readonly gaps: GapTable; readonly feeds: FeedTable },
  { entries, verdicts, erased, dropped }: Commit,
  numberOf: (ref: OpRef) => number,
  turn: Turn,
): Promise<UsageChanges> {
  const changes = new UsageChanges();
  const fresh = new Set<string>();
  for (const { feed, entry } of entries) {
    const { seq } = entry.header;
    const isHeld = gaps.of(feed.no)?.kept.has(seq) === true;
    const isNew = seq > (feeds.numbered(feed.no)?.seq ?? 0) && !isHeld;
    if (isNew) fresh.add(`${feed.no}|${seq}`);
    const before = isNew ? 0 : ((await entryBytesIn(db.level, feed.no, seq))?.length ?? 0);
    changes.add(feed.no, feed.author, { bytes: entry.bytes.length - before });
  }
  const again: { readonly ref: OpRef; readonly no: number }[] = [];
  for (const { ref, size, verdict } of verdicts) {
    const no = numberOf(ref);
    if (verdict.state === 'pending') changes.pending(no, ref.author, 1, size);
    if (!fresh.has(`${no}|${ref.seq}`)) again.push({ ref, no });
  }
  for (const { ref } of [...erased, ...(dropped?.ops ?? [])]) again.push({ ref, no: numberOf(ref) });
  for (const { feed, entry } of dropped?.entries ?? [])
    changes.add(feed.no, feed.author, { bytes: -entry.bytes.length });
  for (let at = 0; at < again.length; at += ROWS_AT_ONCE) {
    const some = again.slice(at, at + ROWS_AT_ONCE);
    const keys = some.map(({ ref, no }) => fullKey('verdicts', refKey(no, ref)));
    const rows = await db.level.getMany(keys);
    for (const [i, { ref, no }] of some.entries()) {
      const row = rows[i];
      const before = row && verifiedJson<ListedVerdict>(keys[i] ?? '', row);
      if (before?.verdict.state === 'pending') changes.pending(no, ref.author, -1, before.size);
    }
    if (turn.isOver()) await turn.next();
  }
  return changes;
}
