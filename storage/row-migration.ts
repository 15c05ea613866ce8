import { type BatchOp, fullKey, range, type SublevelName } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

/** Rows written at once, and bytes of theirs as they were read: some have hundreds of kilobytes. */
const AT_ONCE = 5000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

export interface Rewriting {
  readonly table: SublevelName;
  /** Names the row in `meta` that says which row was the last one; it stands while the migration is under way. */
  readonly mark: string;
  /** The new value of a row; undefined leaves it. What it throws does so too: whoever finds a damaged row mends it. */
  readonly rewrite: (key: string, value: Uint8Array) => Uint8Array | undefined;
  readonly atOnce?: number;
}

/** Writes every row of a table anew, piece by piece, with how far it is in the same batch; the rest is for the batch that ends it. */
export async function rewriteRows(
  level: Level,
  { table, mark, rewrite, atOnce = AT_ONCE }: Rewriting,
  onProgress: (rows: number) => void,
): Promise<BatchOp[]> {
  const done = fullKey('meta', mark);
  const held = await level.get(done);
  const { gte, lt } = range(table);
  const from = held === undefined ? { gte } : { gt: verifiedJson<string>(done, held) };
  let ops: BatchOp[] = [];
  let [seen, bytes] = [0, 0];
  for await (const [key, value] of level.iterator({ lt, ...from, highWaterMarkBytes: 1024 * 1024 })) {
    const row = rewritten(rewrite, key, value);
    if (row !== undefined) ops.push({ type: 'put', key, value: row });
    bytes += value.length;
    if (++seen % atOnce !== 0 && bytes < BYTES_AT_ONCE) continue;
    await level.batch([...ops, putJson(done, key)], { sync: true });
    onProgress(seen);
    [ops, bytes] = [[], 0];
  }
  return [...ops, { type: 'del', key: done }];
}

function rewritten(rewrite: Rewriting['rewrite'], key: string, value: Uint8Array): Uint8Array | undefined {
  try {
    return rewrite(key, value);
  } catch {
    return undefined; // the check at the start names it
  }
}
