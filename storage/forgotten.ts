import type { Gap } from '../protocols/feed/gap.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';

/** Rows read before those found are removed. */
const AT_ONCE = 512;

/** Takes out what waits in the name of records that are gone. To be called between two commits. */
export async function sweepAwaiting(db: Database): Promise<void> {
  let keys: string[] = [];
  const sweep = async (): Promise<void> => {
    const records = keys.map((key) =>
      fullKey('records', innerKey(key).slice(innerKey(key).indexOf('\0') + 1)),
    );
    const held = await db.level.getMany(records);
    const gone = keys.filter((_, i) => held[i] === undefined);
    if (gone.length > 0)
      await db.batch(
        gone.map((key): BatchOp => ({ type: 'del', key })),
        false,
      );
    keys = [];
  };
  for await (const key of db.level.keys(range('awaiting'))) {
    keys.push(key);
    if (keys.length >= AT_ONCE) await sweep();
  }
  await sweep();
}

/** Returns the space of forgotten rows to the disk: until then LevelDB keeps them along with their deletion marks. */
export async function compactForgotten(
  { level }: Pick<Database, 'level'>,
  gaps: readonly Gap[],
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  const feeds = gaps.flatMap(({ no }) => [range('entries', numberKey(no)), range('verdicts', numberKey(no))]);
  const derived = (
    ['records', 'floors', 'recordOps', 'past', 'index', 'changes', 'search', 'awaiting', 'legacy'] as const
  ).map((name) => range(name));
  const ranges = [...feeds, ...derived];
  for (const [n, { gte, lt }] of ranges.entries()) {
    onProgress(n, ranges.length);
    await level.compactRange(gte, lt);
  }
}
