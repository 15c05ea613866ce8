import type { Database } from '../../storage/database.ts';
import { noteOff } from '../../storage/mirror/memory.ts';
import type { Outbox } from '../../storage/outbox.ts';
import type { Settings } from '../settings.ts';

/** Whether this node mirrors. */
export function isMirrored(settings: Pick<Settings, 'mirror' | 'awsRegion' | 'dynamodbEndpoint'>): boolean {
  const { mirror, awsRegion, dynamodbEndpoint } = settings;
  return mirror === 'auto' && (awsRegion !== undefined || dynamodbEndpoint !== undefined);
}

/** The outbox of a node that mirrors; for one that does not, that it is so is noted in the database. */
export async function openOutbox(
  db: Database,
  settings: Pick<Settings, 'mirror' | 'awsRegion' | 'dynamodbEndpoint'>,
  now: () => number,
): Promise<Outbox | undefined> {
  if (!isMirrored(settings)) {
    await noteOff(db);
    return undefined;
  }
  const [storage, { previousTargets, TRACED }] = await Promise.all([
    import('../../storage/outbox.ts'),
    import('./previous-targets.ts'),
  ]);
  return storage.Outbox.open(db, { now, previousTargets: previousTargets, traced: TRACED });
}
