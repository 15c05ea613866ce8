import type { Dropped } from '../protocols/ledger/ports.ts';
import type { OpRef } from '../protocols/open-dialog/record.ts';
import { checkpointKey } from './commit-rows.ts';
import { entryKey } from './entry-row.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { recordOpKey, refKey } from './op-keys.ts';

/** Takes entries out that are forgotten, and all rows that lead to their ops. */
export function droppedRows({ entries, ops, gone }: Dropped, numberOf: (ref: OpRef) => number): BatchOp[] {
  const keys = entries.map(({ feed, entry }) => entryKey(feed.no, entry.header.seq));
  for (const { ref, key } of ops) {
    const no = numberOf(ref);
    keys.push(fullKey('verdicts', refKey(no, ref)));
    if (key === undefined) {
      if (ref.channel === 'public') keys.push(checkpointKey(ref));
      continue;
    }
    keys.push(recordOpKey(key, no, ref));
    // The rows of what it waited for in its channel; others of the kind are removed at the end.
    if (ref.channel !== 'public' && gone.has(key)) keys.push(fullKey('awaiting', `${ref.channel}\0${key}`));
  }
  return keys.map((key) => ({ type: 'del', key }));
}
