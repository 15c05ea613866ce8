import type { AgrinetError } from '../protocols/errors.ts';
import type { Database } from '../storage/database.ts';

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
