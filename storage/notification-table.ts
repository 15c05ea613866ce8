import type { Database } from './database.ts';
import { type BatchOp, fullKey, range } from './keyspace.ts';
import { openJson, sealJson } from './values.ts';

/** A line for a user, as Agrinet's Notifications table has it. */
export interface NotificationRow {
  readonly userId: string;
  readonly notificationId: string;
  readonly message: string;
  readonly read: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly jobId?: string;
}

/** Of one user; the oldest that were read go first, then the oldest. */
const KEPT_PER_USER = 1000;

/** Notifications by user and id; ids sort by time. Reads throw nothing for a damaged row: it is left out. */
export function openNotificationTable(db: Database, keptPerUser = KEPT_PER_USER) {
  let lane: Promise<unknown> = Promise.resolve();
  /** One change at a time, so that what is idempotent stays so. */
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const done = lane.then(work);
    lane = done.catch(() => undefined); // told to whoever asked
    return done;
  };
  // Escaped, so that one user's name is never the beginning of another's.
  const prefixOf = (userId: string): string => `${encodeURIComponent(userId.toWellFormed())}/`;
  const keyOf = (userId: string, id: string): string => fullKey('notifications', prefixOf(userId) + id);

  function open(key: string, value: Uint8Array): NotificationRow | undefined {
    try {
      return openJson<NotificationRow>(key, value);
    } catch {
      return undefined; // a damaged line is as good as none
    }
  }
  async function read(userId: string, id: string): Promise<NotificationRow | undefined> {
    const key = keyOf(userId, id);
    const value = await db.level.get(key);
    return value === undefined ? undefined : open(key, value);
  }
  async function excess(userId: string): Promise<BatchOp[]> {
    const held: { key: string; read: boolean }[] = [];
    for await (const [key, value] of db.level.iterator(range('notifications', prefixOf(userId))))
      held.push({ key, read: open(key, value)?.read ?? true });
    const many = held.length + 1 - keptPerUser;
    if (many <= 0) return [];
    const order = [...held.filter((row) => row.read), ...held.filter((row) => !row.read)];
    return order.slice(0, many).map(({ key }) => ({ type: 'del', key }));
  }

  return {
    /** Adds a line unless one of this id is there; whether it was added. On disk when it resolves. */
    add: (row: NotificationRow): Promise<boolean> =>
      alone(async () => {
        if ((await read(row.userId, row.notificationId)) !== undefined) return false;
        const key = keyOf(row.userId, row.notificationId);
        await db.batch(
          [{ type: 'put', key, value: sealJson(key, row) }, ...(await excess(row.userId))],
          true,
        );
        return true;
      }),
    /** The line with `read` true and whether that is new, or undefined when there is none. */
    markRead: (
      userId: string,
      id: string,
    ): Promise<{ readonly row: NotificationRow; readonly changed: boolean } | undefined> =>
      alone(async () => {
        const row = await read(userId, id);
        if (row === undefined || row.read) return row && { row, changed: false };
        const now = { ...row, read: true };
        const key = keyOf(userId, id);
        await db.batch([{ type: 'put', key, value: sealJson(key, now) }], true);
        return { row: now, changed: true };
      }),
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
      for await (const [key, value] of db.level.iterator({ gte, lt: end, reverse: true })) {
        const row = open(key, value);
        if (row === undefined) continue;
        if (rows.length === limit) return { rows, cursor: rows.at(-1)?.notificationId ?? '' };
        rows.push(row);
      }
      return { rows };
    },
  };
}

export type NotificationTable = ReturnType<typeof openNotificationTable>;
