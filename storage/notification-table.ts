import { SerialQueue } from '../protocols/serial-queue.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, range } from './keyspace.ts';
import { putJson, soundJson } from './values.ts';

/** A line for a user, as Agrinet's Notifications table has it. */
export interface NotificationRow {
  readonly userId: string;
  readonly notificationId: string;
  readonly message: string;
  readonly read: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly jobId?: string;
  /** Of a notice: what it is about, by names that clients know. */
  readonly kind?: string;
  readonly about?: Readonly<Record<string, string>>;
  /** Language of the message, a BCP 47 tag. */
  readonly language?: string;
  /** True where no speaker of it has signed the texts. */
  readonly unreviewed?: true;
  /** The state of its SMS; absent where there is none. */
  readonly sms?: string;
  /** Its cause is older than a loss of this node's data: the user may have been told before. */
  readonly possibleRepeat?: true;
}

/**
 * Per user; the oldest read ones are removed first, then the oldest about wants, then the oldest: many listings must not push out
 * other notices.
 */
const KEPT_PER_USER = 1000;

export function openNotificationTable(db: Database, keptPerUser = KEPT_PER_USER): NotificationTable {
  return new NotificationTable(db, keptPerUser);
}

/** Notifications by user and id; ids sort by time. Reads throw nothing for a damaged row: it is left out. */
export class NotificationTable {
  readonly #db: Database;
  readonly #keptPerUser: number;
  /** One change at a time, so that what is idempotent stays so. */
  readonly #changes = new SerialQueue();

  constructor(db: Database, keptPerUser: number) {
    this.#db = db;
    this.#keptPerUser = keptPerUser;
  }

  /** Adds a line unless one of this id is there; whether it was added. On disk when it resolves. */
  add(row: NotificationRow): Promise<boolean> {
    return this.#changes.run(async () => {
      if ((await this.#read(row.userId, row.notificationId)) !== undefined) return false;
      const key = keyOf(row.userId, row.notificationId);
      const excess = await this.#excess(row.userId, 1);
      await this.#db.batch([putJson(key, row), ...excess], true);
      return true;
    });
  }

  /**
   * Adds those lines whose id does not exist yet: `write` gets them and their rows, and writes them in one batch with whatever else
   * belongs to them. Returns the new ones when that is done.
   */
  addAll(
    rows: readonly NotificationRow[],
    write: (added: readonly NotificationRow[], ops: readonly BatchOp[]) => Promise<void>,
  ): Promise<readonly NotificationRow[]> {
    return this.#changes.run(async () => {
      const keys = rows.map((row) => keyOf(row.userId, row.notificationId));
      const held = await this.#db.level.getMany(keys);
      const added = rows.filter((_, i) => held[i] === undefined);
      const ops: BatchOp[] = added.map((row) => putJson(keyOf(row.userId, row.notificationId), row));
      for (const userId of new Set(added.map((row) => row.userId)))
        ops.push(...(await this.#excess(userId, added.filter((row) => row.userId === userId).length)));
      await write(added, ops);
      return added;
    });
  }

  /** The line with `read` true and whether that is new, or undefined when there is none. */
  markRead(
    userId: string,
    id: string,
  ): Promise<{ readonly row: NotificationRow; readonly changed: boolean } | undefined> {
    return this.#changes.run(async () => {
      const row = await this.#read(userId, id);
      if (row === undefined || row.read) return row && { row, changed: false };
      const now = { ...row, read: true };
      const key = keyOf(userId, id);
      await this.#db.batch([putJson(key, now)], true);
      return { row: now, changed: true };
    });
  }

  /** Writes what became of a line's SMS, undefined for none, in one batch with other rows; those also where the line is gone. */
  setSms(userId: string, id: string, sms: string | undefined, beside: readonly BatchOp[]): Promise<void> {
    return this.#changes.run(async () => {
      const row = await this.#read(userId, id);
      const { sms: _, ...rest } = row ?? {};
      const line = row && putJson(keyOf(userId, id), sms === undefined ? rest : { ...rest, sms });
      await this.#db.batch(line === undefined ? [...beside] : [line, ...beside], true);
    });
  }

  /** How many lines of a user this is true of. */
  async count(userId: string, is: (row: NotificationRow) => boolean): Promise<number> {
    let many = 0;
    for await (const [key, value] of this.#db.level.iterator(range('notifications', prefixOf(userId)))) {
      const row = soundJson<NotificationRow>(key, value);
      if (row !== undefined && is(row)) many++;
    }
    return many;
  }

  /** Newest first. */
  async list(
    userId: string,
    limit: number,
    cursor?: string,
  ): Promise<{ readonly rows: NotificationRow[]; readonly cursor?: string }> {
    const rows: NotificationRow[] = [];
    const { gte, lt } = range('notifications', prefixOf(userId));
    // A cursor beyond the range would name another user's lines.
    const end = cursor === undefined ? lt : keyOf(userId, cursor);
    if (end <= gte || end > lt) return { rows };
    for await (const [key, value] of this.#db.level.iterator({ gte, lt: end, reverse: true })) {
      const row = soundJson<NotificationRow>(key, value);
      if (row === undefined) continue;
      if (rows.length === limit) return { rows, cursor: rows.at(-1)?.notificationId ?? '' };
      rows.push(row);
    }
    return { rows };
  }

  async #read(userId: string, id: string): Promise<NotificationRow | undefined> {
    const key = keyOf(userId, id);
    return soundJson<NotificationRow>(key, await this.#db.level.get(key));
  }

  /** Deletes the excess once this many more are added; reads no further than needed to find as many that were read. */
  async #excess(userId: string, more: number): Promise<BatchOp[]> {
    const own = range('notifications', prefixOf(userId));
    const many = (await this.#db.level.keys(own).all()).length + more - this.#keptPerUser;
    const [wasRead, wanted, unread]: [string[], string[], string[]] = [[], [], []];
    if (many <= 0) return [];
    for await (const [key, value] of this.#db.level.iterator(own)) {
      const row = soundJson<NotificationRow>(key, value);
      (row?.read === false ? (row.kind === 'want' ? wanted : unread) : wasRead).push(key);
      if (wasRead.length === many) break;
    }
    return [...wasRead, ...wanted, ...unread].slice(0, many).map((key) => ({ type: 'del', key }));
  }
}

// Escaped, so that one user's name is never the beginning of another's.
const prefixOf = (userId: string): string => `${encodeURIComponent(userId.toWellFormed())}/`;
const keyOf = (userId: string, id: string): string => fullKey('notifications', prefixOf(userId) + id);
