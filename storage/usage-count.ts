import { decodeEntry } from '../protocols/feed/entry.ts';
import type { Usage } from '../protocols/feed/quota.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import type { ListedVerdict } from './commit-rows.ts';
import type { Store } from './store.ts';
import { usageRow } from './usage.ts';
import { putJson, verifiedJson } from './values.ts';

/** Stands where what feeds take up has been counted from their first entry on. */
export const COUNTED_KEY = fullKey('meta', 'usage counted');
const VERSION = 1;
/** Beyond every sequence: a forgotten feed has entries behind its head. */
const LAST_SEQ = 0xff_ff_ff_ff;

/** Rows written in one batch. */
const AT_ONCE = 256;

/** That row, for a batch that leaves all counters as they must be. */
export function countedRow(): BatchOp {
  return putJson(COUNTED_KEY, VERSION);
}

/** Whether every counter of a database can be relied on; one made before there were any counts from zero. */
export async function isCounted({ level }: Pick<Database, 'level'>): Promise<boolean> {
  const value = await level.get(COUNTED_KEY);
  try {
    return value !== undefined && verifiedJson<number>(COUNTED_KEY, value) === VERSION;
  } catch {
    return false; // counted once more
  }
}

/**
 * Counts the storage that each feed uses, and records the size of pending ops. Done once at the start, before anything is admitted.
 * Memory is bounded; if it is interrupted it begins again.
 */
export async function countUsage(db: Database, store: Store): Promise<void> {
  const pending = await countPending(db, store);
  const rows: BatchOp[] = [];
  for (const feed of store.feedGroups().flatMap((group) => group.feeds)) {
    let bytes = 0;
    for await (const entry of store.entriesFrom(feed.no, 1, LAST_SEQ)) bytes += entry.length;
    rows.push(usageRow(feed.no, { bytes, pending: 0, pendingBytes: 0, ...pending.get(feed.no) }));
  }
  await db.batch([...rows, countedRow()], true);
  await store.reload();
}

/** Pending ops, by feed. A row without the size of its op is rewritten. */
async function countPending(
  db: Database,
  store: Store,
): Promise<Map<number, Pick<Usage, 'pending' | 'pendingBytes'>>> {
  const counts = new Map<number, { pending: number; pendingBytes: number }>();
  const rows: BatchOp[] = [];
  for await (const [key, value] of db.level.iterator(range('verdicts'))) {
    const listed = verifiedJson<Omit<ListedVerdict, 'size'> & Partial<ListedVerdict>>(key, value);
    const no = Number.parseInt(innerKey(key).slice(0, 8), 16);
    const size = listed.size ?? (await sizeOf(store, no, listed.ref));
    if (listed.size === undefined) rows.push(putJson(key, { ...listed, size }));
    if (rows.length >= AT_ONCE) await db.batch(rows.splice(0), true);
    if (listed.verdict.state !== 'pending') continue;
    const count = counts.get(no) ?? { pending: 0, pendingBytes: 0 };
    count.pending++;
    count.pendingBytes += size;
    counts.set(no, count);
  }
  if (rows.length > 0) await db.batch(rows, true);
  return counts;
}

/** Of an op, in bytes; 0 of one that is not there any more. */
async function sizeOf(store: Store, no: number, { seq, index }: ListedVerdict['ref']): Promise<number> {
  const bytes = await store.entryBytes(no, seq);
  const item = bytes && decodeEntry(bytes).body[index];
  return item !== undefined && 'op' in item ? item.op.length : 0;
}
