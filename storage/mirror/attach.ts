import { AgrinetError } from '../../protocols/errors.ts';
import type { Database } from '../database.ts';
import type { Outbox } from '../outbox.ts';
import type { Tables } from './client.ts';
import { type Holder, type HolderParts, META, takeHold } from './holder.ts';
import { fillReason, generationOf, memoryOp, type MirrorMemory, readMemory } from './memory.ts';
import type { Projection } from './types.ts';

export interface AttachParts extends Omit<HolderParts, 'tables'> {
  readonly db: Database;
  readonly outbox: Pick<Outbox, 'openedAt'>;
  readonly tables: Pick<Tables, 'find' | 'get' | 'put' | 'prefix'>;
  readonly tablesId: string;
  readonly projection: Pick<Projection, 'tables'>;
  readonly claim: string;
}

/**
 * Finds the tables, takes hold of them, and determines what has to be written. Throws `mirror-table-missing`, `mirror-keys`,
 * `mirror-held`, and the errors of `Tables`. `reason`: why everything has to be written, or undefined.
 */
export async function attachTo(
  parts: AttachParts,
  takeOver: boolean,
): Promise<{ readonly holder: Holder; readonly memory: MirrorMemory; readonly reason: string | undefined }> {
  const { db, outbox, claim, tablesId } = parts;
  await findAll(parts);
  const known = await readMemory(db);
  const mine = { claim, incarnation: known?.incarnation ?? 0, commits: db.commits };
  const { holder, before } = await takeHold(parts, mine, takeOver);
  const generation = await generationOf(db);
  const reason = fillReason(known, { tables: tablesId, generation, commits: outbox.openedAt, before });
  const fill = reason === undefined ? known?.fill : '';
  // Tables that another process has written to may hold what is not in LevelDB.
  const repair = reason === undefined ? known?.repair === true : before !== undefined;
  const memory: MirrorMemory = {
    incarnation: holder.incarnation,
    claim,
    generation,
    tables: tablesId,
    ...(fill === undefined ? {} : { fill }),
    ...(repair ? { repair: true as const } : {}),
  };
  await db.batch([memoryOp(memory)], true);
  return { holder, memory, reason };
}

async function findAll({ tables, projection }: Pick<AttachParts, 'tables' | 'projection'>): Promise<void> {
  const missing: string[] = [];
  for (const spec of [META, ...projection.tables]) {
    const found = await tables.find(spec);
    const name = tables.prefix + spec.name;
    if (found === 'missing') missing.push(name);
    if (found === 'other-keys')
      throw new AgrinetError(
        'mirror-keys',
        `the table ${name} has other keys than ${spec.key.join(' and ')} as text: set MIRROR_PREFIX, or recreate it`,
      );
    if (found === 'being-made') throw new AgrinetError('mirror-away', `the table ${name} is being created`);
  }
  if (missing.length > 0)
    throw new AgrinetError(
      'mirror-table-missing',
      `${missing.length === 1 ? 'a table is' : `${missing.length} tables are`} missing: ${missing.join(', ')}. Create them with: agrinet mirror init`,
    );
}
