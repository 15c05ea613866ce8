import type { AgrinetError } from '../protocols/errors.ts';
import type { Database } from '../storage/database.ts';
import type { SerialQueue } from '../protocols/serial-queue.ts';

/** Why nothing may be written now. The storage guard sets it; writers check it. */
export interface WriteRefusal {
  /** `disk-full`, `storage-failed`, `database-damaged`; undefined while writing is possible. */
  get(): AgrinetError | undefined;
  set(refusal: AgrinetError | undefined): void;
}

/** A database that has failed refuses before the guard has seen it. */
export function createWriteRefusal(db: () => Pick<Database, 'failure' | 'damage'>): WriteRefusal {
  let refusal: AgrinetError | undefined;
  return {
    get: () => db().damage ?? refusal ?? db().failure,
    set: (to) => (refusal = to),
  };
}

/** Does one change after the other. Throws what says why nothing may be written now. */
export function oneChange<T>(
  changes: SerialQueue,
  refusal: () => AgrinetError | undefined,
  change: () => Promise<T>,
): Promise<T> {
  return changes.run(async () => {
    const refused = refusal();
    if (refused !== undefined) throw refused;
    return change();
  });
}
