import { Digests } from '../../storage/digests.ts';
import { type BatchOp, fullKey, numberKey, range } from '../../storage/keyspace.ts';
import { readRecordRow } from '../../storage/stored-record.ts';
import { jsonWithChecksum } from '../../storage/values.ts';
import type { Wrong } from './check-rows.ts';
import { SCRUB_LIMITS } from './limits.ts';
import type { ScrubParts } from './scrub.ts';

type Parts = Pick<ScrubParts, 'db' | 'store' | 'alone'>;
type Found = (wrong: Wrong, repaired: boolean) => void;

/** The heads of feeds in this process: those on disk were read at its start. */
export async function checkFeeds({ db, store, alone }: Parts, found: Found): Promise<void> {
  await alone(async () => {
    const ops: BatchOp[] = [];
    const known = new Set<string>();
    for (const feed of store.feedGroups().flatMap((group) => group.feeds)) {
      const key = fullKey('feeds', numberKey(feed.no));
      known.add(key);
      const stored = await db.level.get(key);
      const expected = jsonWithChecksum(key, feed);
      if (stored !== undefined && Buffer.from(stored).equals(expected)) continue;
      found({ table: 'feeds', kind: stored === undefined ? 'missing' : 'stale', key }, true);
      ops.push({ type: 'put', key, value: expected });
    }
    for await (const key of db.level.keys(range('feeds'))) {
      if (known.has(key)) continue;
      found({ table: 'feeds', kind: 'surplus', key }, true);
      ops.push({ type: 'del', key });
    }
    if (ops.length > 0) await db.batch(ops, true);
  });
}

/** The sums of digests, counted over a snapshot and corrected by what both have moved since. */
export async function checkDigests(
  { db, store, alone }: Parts,
  found: Found,
  pace: () => Promise<void>,
): Promise<void> {
  let captured = store.digests.captured();
  let snapshot = db.level.snapshot();
  await snapshot.close();
  await alone(async () => {
    captured = store.digests.captured();
    snapshot = db.level.snapshot();
  });
  const counted = new Digests();
  try {
    const sums = counted.begin();
    let rows = 0;
    for await (const [key, value] of db.level.iterator({ ...range('records'), snapshot })) {
      sums.change(undefined, readRecordRow(key, value).state);
      if (++rows % SCRUB_LIMITS.chunk === 0) await pace();
    }
    sums.commit();
  } finally {
    await snapshot.close();
  }
  await alone(async () => {
    const corrections = await store.digests.corrections(db, counted, captured);
    if (corrections.rows.length === 0) return;
    const keys = corrections.rows.map(({ key }) => key);
    await db.batch([...corrections.rows], true);
    corrections.apply();
    for (const key of keys) found({ table: 'digests', kind: 'stale', key }, true);
  });
}
