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
  /** Names the row in `meta` that says which row was the last one; it stands while the migration is under way. */
  readonly mark: string;
  /** What to write for a row. What it throws leaves the row as it is: whoever finds a damaged row mends it. */
  readonly rewrite: (key: string, value: Uint8Array) => BatchOp | undefined;
  readonly atOnce?: number;
}

/**
 * Goes through a table and writes what follows from each row, piece by piece, with how far it is in the same batch; the rest is for the
 * batch that ends it. Where a rebuild will make anew what it would write, it writes nothing.
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

/** Whether a rebuild is due that makes a table anew: what is written there before is written for nothing. */
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
