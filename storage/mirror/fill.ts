import type { Database } from '../database.ts';
import { fullKey, KEYSPACE, range } from '../keyspace.ts';
import { type Outbox, SOURCES } from '../outbox.ts';
import { memoryOp, type MirrorMemory } from './memory.ts';

/** The keys of all rows that are mirrored, behind one of them; in the order of a fill. */
export async function* sourceKeys(db: Database, after = ''): AsyncGenerator<string> {
  const from = SOURCES.findIndex((name) => after.startsWith(`${KEYSPACE[name].prefix}!`));
  for (const [i, name] of SOURCES.entries()) {
    if (i < from) continue;
    const { gte, lt } = range(name);
    for await (const key of db.level.keys(i === from ? { gt: after, lt } : { gte, lt })) yield key;
  }
}

/**
 * Puts the next rows of a fill into the outbox, and its progress into the same batch: if it is interrupted anywhere, it continues
 * from there. Returns the memory as it is then, without `fill` at the end.
 */
export async function fillStep(
  { db, outbox }: { readonly db: Database; readonly outbox: Pick<Outbox, 'enqueue'> },
  memory: MirrorMemory,
  chunk: number,
): Promise<MirrorMemory> {
  const keys: string[] = [];
  for await (const key of sourceKeys(db, memory.fill)) {
    keys.push(key);
    if (keys.length === chunk) break;
  }
  const { fill: _, ...rest } = memory;
  const last = keys.at(-1);
  const next: MirrorMemory = keys.length < chunk || last === undefined ? rest : { ...rest, fill: last };
  await outbox.enqueue(keys, { fill: true, beside: [memoryOp(next)] });
  return next;
}

/** How many rows a fill or a check has to go through. */
export async function countSources(db: Database): Promise<number> {
  let count = 0;
  for await (const key of sourceKeys(db, fullKey(SOURCES[0], ''))) count += key === '' ? 0 : 1;
  return count;
}
