import { DERIVED } from './derivation.ts';
import { type BatchOp, fullKey, range, type SublevelName } from './keyspace.ts';
import { type Level, REBUILDING } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

/** Rows that are gone through at once, and bytes of theirs as they were read: some have hundreds of kilobytes. */
const AT_ONCE = 5000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

export interface Rewriting {
  /** The table that is gone through. */
  readonly table: SublevelName;
  /** Of its rows those whose keys begin so. */
  readonly prefix?: string;
  /** Of the table that is written, where it is another one. */
  readonly into?: SublevelName;
  /** The row in `meta` that names the last row done; it exists while the migration is in progress. */
  readonly mark: string;
  /** The writes for a row. If it throws, the row stays as it is: a damaged row is repaired when it is found. */
  readonly rewrite: (key: string, value: Uint8Array) => BatchOp | undefined;
  readonly atOnce?: number;
}

/**
 * Goes through a table and writes what follows from each row, piece by piece, with its progress in the same batch; the rest is for
 * the batch that ends it. Where a rebuild will recreate what it would write, it writes nothing.
 */
export async function rewriteRows(
  level: Level,
  { table, prefix, into = table, mark, rewrite, atOnce = AT_ONCE }: Rewriting,
  onProgress: (rows: number) => void,
): Promise<BatchOp[]> {
  const done = fullKey('meta', mark);
  if (await isMadeAnew(level, into)) return [{ type: 'del', key: done }];
  const held = await level.get(done);
  const { gte, lt } = range(table, prefix);
  const from = held === undefined ? { gte } : { gt: verifiedJson<string>(done, held) };
  let ops: BatchOp[] = [];
  let [seen, bytes] = [0, 0];
  for await (const [key, value] of level.iterator({ lt, ...from, highWaterMarkBytes: 1024 * 1024 })) {
    const op = rewritten(rewrite, key, value);
    if (op !== undefined) ops.push(op);
    bytes += value.length;
    if (++seen % atOnce !== 0 && bytes < BYTES_AT_ONCE) continue;
    await level.batch([...ops, putJson(done, key)], { sync: true });
    onProgress(seen);
    [ops, bytes] = [[], 0];
  }
  return [...ops, { type: 'del', key: done }];
}

/** Whether a rebuild is due that recreates a table: writing there before would be useless. */
export async function isMadeAnew(level: Level, table: SublevelName): Promise<boolean> {
  return DERIVED.some((name) => name === table) && (await level.get(REBUILDING)) !== undefined;
}

function rewritten(rewrite: Rewriting['rewrite'], key: string, value: Uint8Array): BatchOp | undefined {
  try {
    return rewrite(key, value);
  } catch {
    return undefined; // the check at the start names it
  }
}
