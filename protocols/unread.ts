import { AgrinetError } from './errors.ts';
import type { RecordState } from './open-dialog/record.ts';
import type { RecordKey } from './wire/ids.ts';

/** A record of a list that could not be read or shown: the list continues without it, and reports it. */
export interface Unread {
  readonly key: RecordKey;
  readonly error: unknown;
}

/** Part of a list: what it leaves out, and where it continues; each absent when there is none. */
export interface Paged {
  readonly unread?: readonly Unread[];
  readonly cursor?: string;
}

export interface Page<T> extends Paged {
  readonly items: readonly T[];
}

export interface RecordPage extends Paged {
  readonly records: readonly RecordState[];
}

export function paged(unread: readonly Unread[], cursor: string | undefined): Paged {
  return { ...(unread.length === 0 ? {} : { unread }), ...(cursor === undefined ? {} : { cursor }) };
}

/** Told of a record that a reading leaves out. */
export type OnUnread = (unread: Unread) => void;

/**
 * Whether an error concerns only the record that was read or shown: its row is damaged, or its content unforeseen. A disk that
 * fails, or a node that stops, is not the record's fault.
 */
export function isOfOneRecord(error: unknown): boolean {
  if (error instanceof AgrinetError) return error.code === 'value-damaged';
  return (
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof SyntaxError ||
    error instanceof URIError
  );
}

/** Runs what reads or shows one record; when that fails because of the record itself, it is reported and the result is undefined. */
export async function readOne<T>(
  key: RecordKey,
  read: () => Promise<T>,
  onUnread: OnUnread,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isOfOneRecord(error)) throw error;
    onUnread({ key, error });
    return undefined;
  }
}
