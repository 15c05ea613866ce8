import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { Digests } from '../../storage/digests.ts';
import { type BatchOp, range } from '../../storage/keyspace.ts';
import { draftRecord, readRecordRow, recordRow } from '../../storage/stored-record.ts';

/**
 * Alters what a stopped node keeps of some of its records, and the sums over them, as a fault of ours would: every checksum holds, every
 * entry is there, and the node shows another digest at the same frontier. Returns the keys.
 */
export async function plantDamage(
  dataDir: string,
  collection: string,
  places: readonly number[],
): Promise<string[]> {
  const db = await Database.open(dataDir, systemEnv, { create: false });
  try {
    const digests = new Digests();
    (await digests.read(db))();
    const moves = digests.begin();
    const ops: BatchOp[] = [];
    const keys: string[] = [];
    let at = 0;
    for await (const [key, value] of db.level.iterator(range('records', `${collection}/`))) {
      if (!places.includes(at++)) continue;
      const { state, change } = readRecordRow(key, value);
      const after: RecordState = { ...state, heads: ['0'.repeat(64)] };
      moves.change(state, after);
      ops.push({ type: 'put', key, value: recordRow(key, draftRecord(after), change) });
      keys.push(state.key);
    }
    moves.write(ops);
    await db.batch(ops, true);
    return keys;
  } finally {
    await db.close();
  }
}

/** Flips a bit in the stored value of one record of a stopped node: its checksum no longer holds. Returns the key. */
export async function flipBit(dataDir: string, collection: string): Promise<string> {
  const db = await Database.open(dataDir, systemEnv, { create: false });
  try {
    for await (const [key, value] of db.level.iterator({ ...range('records', `${collection}/`), limit: 1 })) {
      const { state } = readRecordRow(key, value);
      const flipped = Uint8Array.from(value, (byte, i) => (i === 10 ? byte ^ 1 : byte));
      await db.batch([{ type: 'put', key, value: flipped }], true);
      return state.key;
    }
    throw new Error(`no record of ${collection}`);
  } finally {
    await db.close();
  }
}
