import { AgrinetError } from '../../protocols/errors.ts';
import { newGeneration } from '../change-order.ts';
import { Digests } from '../digests.ts';
import { skippedEventNumbers } from '../event-table.ts';
import { KEYSPACE, type BatchOp } from '../keyspace.ts';
import type { DatabaseEnv } from '../database.ts';
import type { Level } from '../level.ts';
import { openLevel } from '../open-level.ts';
import { rejoinRow } from '../rejoin-row.ts';
import { type ReadBackup, readBackup } from './backup-file.ts';
import { damagedBackup } from './format.ts';

const known: ReadonlySet<string> = new Set(Object.values(KEYSPACE).map(({ prefix }) => `${prefix}!`));

/**
 * Creates a database in a folder of its own from a backup; on disk when this resolves, with the digest that the backup names. What a
 * restored node must not repeat begins anew: numbers of events and the generation of its change order. Throws `backup-damaged` and
 * what LevelDB throws; the folder is then useless.
 */
export async function loadBackup(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  env: Pick<DatabaseEnv, 'now' | 'bytes'>,
): Promise<ReadBackup> {
  const { level } = await openLevel(folder, { createIfMissing: true, mayRepair: false, now: env.now });
  try {
    const backup = await readBackup(source, {
      async pairs(pairs) {
        for (const [key] of pairs)
          if (!known.has(key.slice(0, 2)))
            throw damagedBackup(`the key ${JSON.stringify(key.slice(0, 40))} belongs to no table`, 0);
        await level.batch(pairs.map(([key, value]) => ({ type: 'put', key, value })));
      },
    });
    await writeLastBatch(level, env);
    const digest = (await Digests.ofRecords(level)).total();
    if (digest !== backup.manifest.digest)
      throw new AgrinetError(
        'backup-damaged',
        `the content of the backup has the digest ${digest}, but its manifest says ${backup.manifest.digest}. Use another backup.`,
      );
    return backup;
  } finally {
    await level.close();
  }
}

/** The last batch; its fsync takes along those before it. */
async function writeLastBatch(level: Level, env: Pick<DatabaseEnv, 'now' | 'bytes'>): Promise<void> {
  const ops: BatchOp[] = [
    newGeneration(env),
    rejoinRow({ cause: 'restored', since: env.now(), answered: [] }),
    ...(await skippedEventNumbers(level)),
  ];
  await level.batch(ops, { sync: true });
}
