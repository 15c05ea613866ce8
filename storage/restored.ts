import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';
import { fullKey } from './keyspace.ts';

/** Where a restore builds; it stands in `DATA_DIR` from its first step to its last. */
export const RESTORING = '.restoring';

/** In the database after a restore, `RestoredMark` as JSON: promises wait until the peers have answered. */
export const RESTORED = fullKey('meta', 'restored');

/** When a database was restored, and of what moment the backup was; both in milliseconds since 1970. */
export interface RestoredMark {
  readonly at: number;
  readonly from: number;
}

/** Nothing is to run on half of a restore. Throws `restore-unfinished`. */
export async function refuseHalfRestored(dataDir: string): Promise<void> {
  const folder = join(dataDir, RESTORING);
  if ((await stat(folder).catch(() => undefined)) === undefined) return;
  throw new AgrinetError(
    'restore-unfinished',
    `a restore into ${dataDir} was cut off. Run \`agrinet restore\` again: it begins anew.`,
  );
}
