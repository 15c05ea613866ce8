import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range, timeKey } from './keyspace.ts';
import { putJson, soundJson } from './values.ts';

/** SMS due at a time, codes that answer proposals, counts of a day, and received SMS. */
const DUE = 'd';
const CODE = 'c';
const COUNT = 'n';
const RECEIVED = 'm';
const TIME_DIGITS = 14;

/** A row of the table under its full key; undefined where it is damaged. */
export interface SmsRow<T> {
  readonly key: string;
  readonly what: T | undefined;
}

/** SMS in both directions. Writes are added to a batch of the caller's. */
export class SmsTable<Outgoing, Code, Count = never> {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** What is due by `now`, by time. */
  async due(limit: number, now: number): Promise<SmsRow<Outgoing>[]> {
    const end = fullKey('sms', `${DUE}${timeKey(Math.max(0, now + 1))}`);
    return this.#rows<Outgoing>({ ...range('sms', DUE), lt: end, limit });
  }

  /** All that wait. */
  waiting(): Promise<SmsRow<Outgoing>[]> {
    return this.#rows<Outgoing>(range('sms', DUE));
  }

  /** When the next one becomes due, milliseconds since 1970. */
  async nextDue(): Promise<number | undefined> {
    for await (const key of this.#db.level.keys({ ...range('sms', DUE), limit: 1 }))
      return Number.parseInt(innerKey(key).slice(1, 1 + TIME_DIGITS), 16);
    return undefined;
  }

  /** The write of an SMS that is due at a time. */
  later(at: number, id: string, sms: Outgoing): BatchOp {
    return putJson(fullKey('sms', `${DUE}${timeKey(Math.max(0, at))}${id}`), sms);
  }

  /** All codes of a user, by their keys. */
  codes(userId: string): Promise<SmsRow<Code>[]> {
    return this.#rows<Code>(range('sms', codePrefix(userId)));
  }

  codeKey(userId: string, code: string): string {
    return fullKey('sms', codePrefix(userId) + code);
  }

  put(key: string, what: Code | Outgoing): BatchOp {
    return putJson(key, what);
  }

  /** What a user was sent on its day; undefined where there is none, or the row is damaged. */
  async count(userId: string): Promise<Count | undefined> {
    const key = fullKey('sms', COUNT + nameOf(userId));
    return soundJson<Count>(key, await this.#db.level.get(key));
  }

  /** The write of such a count. */
  putCount(userId: string, count: Count): BatchOp {
    return putJson(fullKey('sms', COUNT + nameOf(userId)), count);
  }

  /** Ids of the messages that were received, with when that was, milliseconds since 1970. */
  async received(): Promise<{ readonly key: string; readonly id: string; readonly at: number }[]> {
    const keys = await this.#db.level.keys(range('sms', RECEIVED)).all();
    return keys.map((key) => {
      const inner = innerKey(key);
      const at = Number.parseInt(inner.slice(1, 1 + TIME_DIGITS), 16);
      return { key, id: inner.slice(1 + TIME_DIGITS), at };
    });
  }

  receivedKey(id: string, at: number): string {
    return fullKey('sms', `${RECEIVED}${timeKey(Math.max(0, at))}${id}`);
  }

  /** The write that records that a message was received. */
  receive(key: string): BatchOp {
    return putJson(key, true);
  }

  async #rows<T>(keys: { gte: string; lt: string; limit?: number }): Promise<SmsRow<T>[]> {
    const rows: SmsRow<T>[] = [];
    for await (const [key, value] of this.#db.level.iterator(keys))
      rows.push({ key, what: soundJson(key, value) });
    return rows;
  }
}

// Escaped, so that one user's name is never the beginning of another's.
function codePrefix(userId: string): string {
  return `${CODE}${nameOf(userId)}/`;
}

function nameOf(userId: string): string {
  return encodeURIComponent(userId.toWellFormed());
}
