import { type BatchOp, fullKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import type { Migration } from './migrations.ts';
import { draftRecord, readRecordRow, recordRow } from './stored-record.ts';
import { putJson, verifiedJson } from './values.ts';

/** The last record that has its new row; stands while the migration is under way. */
const DONE = fullKey('meta', 'records');
/** Records written at once, and bytes of theirs as they were read: some have hundreds of kilobytes. */
const AT_ONCE = 5000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/**
 * Layout 6: the rows of records are compact, a fifth of the JSON that they were. Written piece by piece, with how far it is in the same
 * batch; both forms can be read meanwhile. A row that is damaged stays as it is: whoever mends it writes the new form.
 */
export const COMPACT_RECORDS: Migration = {
  to: 6,
  run: (level, _, onProgress) => compactRecords(level, AT_ONCE, onProgress),
};

/** The migration in pieces of so many rows. */
export async function compactRecords(
  level: Level,
  atOnce: number,
  onProgress: (rows: number) => void,
): Promise<BatchOp[]> {
  const done = await level.get(DONE);
  const { gte, lt } = range('records');
  const from = done === undefined ? undefined : verifiedJson<string>(DONE, done);
  let ops: BatchOp[] = [];
  let [seen, bytes] = [0, 0];
  for await (const [key, value] of level.iterator({
    lt,
    ...(from === undefined ? { gte } : { gt: from }),
    highWaterMarkBytes: 1024 * 1024,
  })) {
    const row = compactRow(key, value);
    if (row !== undefined) ops.push({ type: 'put', key, value: row });
    bytes += value.length;
    if (++seen % atOnce !== 0 && bytes < BYTES_AT_ONCE) continue;
    await write(level, ops, key);
    onProgress(seen);
    [ops, bytes] = [[], 0];
  }
  return [...ops, { type: 'del', key: DONE }];
}

function compactRow(key: string, value: Uint8Array): Uint8Array | undefined {
  try {
    const { state, change } = readRecordRow(key, value);
    return recordRow(key, draftRecord(state), change);
  } catch {
    return undefined; // the check at the start names it
  }
}

async function write(level: Level, ops: readonly BatchOp[], last: string): Promise<void> {
  await level.batch([...ops, putJson(DONE, last)], { sync: true });
}
