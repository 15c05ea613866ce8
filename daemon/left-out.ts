import type { NoteLeftOut } from '../api/ports/left-out.ts';
import { errorCode } from '../protocols/errors.ts';

/** Records reported one by one; any others are not logged. */
const TOLD = 1000;

/** Tells of records that lists leave out: each once in the log, and all by one alarm, which the doctor repeats. */
export function createLeftOut(
  raise: (alarm: { readonly kind: 'record-left-out' }) => void,
  log: (message: string, fields: Record<string, unknown>) => void,
): NoteLeftOut {
  const told = new Set<string>();
  return ({ key, error }) => {
    raise({ kind: 'record-left-out' });
    if (told.has(key) || told.size >= TOLD) return;
    told.add(key);
    log('a record is left out of lists', { key, code: errorCode(error), err: error });
  };
}
