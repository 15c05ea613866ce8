import type { RecordChange } from '../protocols/ledger/ports.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range, timeKey } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, soundJson } from './values.ts';

/** A change of which a user here has yet to be notified, and when it arrived, milliseconds since 1970. */
export interface PendingChange {
  readonly record: RecordKey;
  readonly at: number;
}

/** Changes come first, in the order of their commits, then notices due at a time; waiting steps are in no order. */
const CHANGE = 'c';
const DUE = 'd';
const WAITING = 'w';
const DIGITS = 12;

/** Numbers the rows that a commit leaves for notices. */
export class NoticeRows {
  #last = 0;
  #concerns: (change: RecordChange) => boolean = () => false;

  /** From now on a change of which this is true leaves a row. */
  whereItConcerns(concerns: (change: RecordChange) => boolean): void {
    this.#concerns = concerns;
  }

  /** Goes on from the last one on disk. */
  async read(level: Level): Promise<void> {
    for await (const key of level.keys({ ...range('pendingNotices', CHANGE), reverse: true, limit: 1 }))
      this.#last = Math.max(this.#last, Number.parseInt(innerKey(key).slice(1), 16));
  }

  /** The rows to add to the batch of a commit. */
  rows(changes: readonly RecordChange[], at: number): BatchOp[] {
    return changes.filter(this.#concerns).map(({ key }) => {
      const row: PendingChange = { record: key, at };
      return putJson(fullKey('pendingNotices', CHANGE + numberKey(++this.#last, DIGITS)), row);
    });
  }
}

/** A row of the table, to be deleted in the batch of its notice. */
export interface PendingNotice<Later> {
  readonly key: string;
  /** Its content; undefined for a damaged row. */
  readonly what: { readonly change: PendingChange } | { readonly later: Later } | undefined;
}

/** Notices that have yet to be written: for changes, for times to come, and for steps that wait for others. */
export class PendingNotices<Later, Waiting> {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Changes first, oldest first, then what is due by `now`. */
  async first(limit: number, now: number): Promise<PendingNotice<Later>[]> {
    const found: PendingNotice<Later>[] = [];
    const due = fullKey('pendingNotices', `${DUE}${timeKey(Math.max(0, now + 1))}`);
    for (const keys of [range('pendingNotices', CHANGE), { ...range('pendingNotices', DUE), lt: due }]) {
      if (found.length >= limit) break;
      for await (const [key, value] of this.#db.level.iterator({ ...keys, limit: limit - found.length }))
        found.push({ key, what: open(key, value) });
    }
    return found;
  }

  /** When the next one becomes due, milliseconds since 1970. */
  async nextDue(): Promise<number | undefined> {
    for await (const key of this.#db.level.keys({ ...range('pendingNotices', DUE), limit: 1 }))
      return Number.parseInt(innerKey(key).slice(1, 15), 16);
    return undefined;
  }

  /** The write of a notice due at a time; `name` distinguishes it from others at that time. */
  later(at: number, name: string, what: Later): BatchOp {
    return putJson(fullKey('pendingNotices', `${DUE}${timeKey(Math.max(0, at))}${name}`), what);
  }

  /** All that waits, by the names that it was written under; undefined where a row is damaged. */
  async waiting(): Promise<{ readonly name: string; readonly what: Waiting | undefined }[]> {
    const found: { name: string; what: Waiting | undefined }[] = [];
    for await (const [key, value] of this.#db.level.iterator(range('pendingNotices', WAITING)))
      found.push({ name: innerKey(key).slice(WAITING.length), what: soundJson<Waiting>(key, value) });
    return found;
  }

  /** The write of what waits under a name, in place of what waited there. */
  wait(name: string, what: Waiting): BatchOp {
    return putJson(fullKey('pendingNotices', WAITING + name), what);
  }

  /** The write that removes what waits under a name. */
  waitNoMore(name: string): BatchOp {
    return { type: 'del', key: fullKey('pendingNotices', WAITING + name) };
  }
}

/** By its key, as this table writes it. */
function open<Later>(key: string, value: Uint8Array): PendingNotice<Later>['what'] {
  if (innerKey(key).startsWith(CHANGE)) {
    const change = soundJson<PendingChange>(key, value);
    return change && { change };
  }
  const later = soundJson<Later>(key, value);
  return later && { later };
}

/** Which of these were notified, by the hash of event and user. A damaged row counts as notified. */
export async function alreadyNotified(db: Database, hashes: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db.level.getMany(hashes.map((hash) => fullKey('sentNotices', hash)));
  return new Set(hashes.filter((_, i) => rows[i] !== undefined));
}

/** The write that records it. */
export function notifiedRow(hash: string, at: number): BatchOp {
  return putJson(fullKey('sentNotices', hash), at);
}
