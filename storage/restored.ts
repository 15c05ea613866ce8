import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';

/** Where a restore builds; it is in `DATA_DIR` from its first step to its last. */
export const RESTORING = '.restoring';

/** Nothing is to run on half of a restore. Throws `restore-unfinished`. */
export async function refuseHalfRestored(dataDir: string): Promise<void> {
  const folder = join(dataDir, RESTORING);
  if ((await stat(folder).catch(() => undefined)) === undefined) return;
  throw new AgrinetError(
    'restore-unfinished',
    `a restore into ${dataDir} was cut off. Run \`agrinet restore\` again: it begins anew.`,
  );
}
