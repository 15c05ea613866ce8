import type { Database } from '../../storage/database.ts';
import { fullKey } from '../../storage/keyspace.ts';

/** Where the scrub writes down how far it is, and what it has found. */
export const PASS_NOTE = fullKey('meta', 'scrub');

/** After a rebuild: what was found in the rows before is of no more use, and a pass begins anew. */
export async function forgetPasses(db: Pick<Database, 'batch'>): Promise<void> {
  await db.batch([{ type: 'del', key: PASS_NOTE }], true);
}
