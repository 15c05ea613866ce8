import type { Context } from 'hono';
import { errorCode } from '../protocols/errors.ts';
import { COLLECTIONS } from '../protocols/open-dialog/schema.ts';
import { isOfOneRecord, type Unread } from '../protocols/unread.ts';
import { parseRecordKey, publicId, type RecordKey } from '../protocols/wire/ids.ts';
import { type ApiEnv, isOperator } from './access.ts';
import type { NoteLeftOut } from './ports/left-out.ts';

/** A record that is missing from a list because it cannot be read or shown. */
export interface LeftOut {
  readonly collection: string;
  readonly id: string;
  /** `value-damaged`: its row is, and the scrub recreates it; `not-presentable`: its content was unforeseen. */
  readonly reason: 'value-damaged' | 'not-presentable';
}

/** Records that one answer names; the log names them all. */
const NAMED = 8;

/** Shows the records of one answer, each for itself: one that cannot be shown is left out and named. */
export class Shown {
  readonly #note: NoteLeftOut;
  readonly #unread: Unread[] = [];

  constructor(note: NoteLeftOut) {
    this.#note = note;
  }

  /** Records that a reading has left out, and noted, already. */
  readonly missed = (unread: readonly Unread[] = []): void => void this.#unread.push(...unread);

  /** The result of `show`; undefined, and recorded, when it throws because of the record itself. */
  one<T>(key: RecordKey, show: () => T): T | undefined {
    try {
      return show();
    } catch (error) {
      if (!isOfOneRecord(error)) throw error;
      this.#note({ key, error });
      this.#unread.push({ key, error });
      return undefined;
    }
  }

  each<T, R>(items: Iterable<T>, keyOf: (item: T) => RecordKey, show: (item: T) => R): R[] {
    const shown: R[] = [];
    for (const item of items) {
      const one = this.one(keyOf(item), () => show(item));
      if (one !== undefined) shown.push(one);
    }
    return shown;
  }

  /** What is missing, as far as it may be named: that a private record exists is known only to its participants and the operator. */
  leftOut(all: boolean): LeftOut[] {
    return this.#unread.flatMap(({ key, error }) => {
      const parts = parseRecordKey(key);
      if (parts === undefined || (!all && COLLECTIONS[parts.collection]?.channels !== 'public')) return [];
      const reason = errorCode(error) === 'value-damaged' ? 'value-damaged' : 'not-presentable';
      return [{ collection: parts.collection, id: publicId(parts), reason }];
    });
  }

  /** The text of a `Warning` (RFC 7234, 299); undefined when nothing is missing. */
  warning(all: boolean): string | undefined {
    const left = this.leftOut(all);
    if (left.length === 0) return undefined;
    const names = left.slice(0, NAMED).map(({ collection, id, reason }) => `${collection} ${id} (${reason})`);
    const more = left.length > NAMED ? ` and ${left.length - NAMED} more` : '';
    return `299 agrinetd "omitted: ${names.join(', ')}${more}"`;
  }

  /** Adds what is missing to the response. */
  warn(c: Context<ApiEnv>): void {
    const warning = this.warning(isOperator(c.get('principal')));
    if (warning !== undefined) c.header('warning', warning, { append: true });
  }
}
