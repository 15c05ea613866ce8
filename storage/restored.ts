import { join } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';
import { exists } from './folder.ts';

/** Where a restore builds; it is in `DATA_DIR` from its first step to its last. */
export const RESTORING = '.restoring';

/** Nothing is to run on half of a restore. Throws `restore-unfinished`. */
export async function refuseHalfRestored(dataDir: string): Promise<void> {
  const folder = join(dataDir, RESTORING);
  if (!(await exists(folder))) return;
  throw new AgrinetError(
    'restore-unfinished',
    `a restore into ${dataDir} was cut off. Run \`agrinet restore\` again: it begins anew.`,
  );
}
