import { expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import type { Rows } from '../../../storage/level.ts';
import { type NotificationRow, openNotificationTable } from '../../../storage/notification-table.ts';
import { tempDir } from '../../support/temp-dir.ts';

const line = (n: number): NotificationRow => ({
  userId: 'ann',
  notificationId: `n${String(n).padStart(3, '0')}`,
  message: 'x',
  read: false,
  createdAt: '2026-11-01T00:00:00Z',
});

it('drops the oldest that were read, then the oldest, and reads no further than it has to for that', async () => {
  const dir = tempDir('notification-table');
  const db = await Database.open(dir.path, systemEnv);
  try {
    const table = openNotificationTable(db, 100);
    for (let n = 0; n < 100; n++) await table.add(line(n));
    for (const n of [3, 4, 50]) await table.markRead('ann', line(n).notificationId);
    let read = 0;
    const iterator = db.level.iterator.bind(db.level);
    const counted = vi.spyOn(db.level, 'iterator').mockImplementation((range) => {
      const rows: Rows<[string, Uint8Array]> = iterator(range);
      const next = rows.nextv.bind(rows);
      return Object.assign(rows, {
        async *[Symbol.asyncIterator]() {
          for (let some = await next(1); some.length > 0; some = await next(1)) {
            read++;
            yield* some;
          }
        },
      });
    });
    await table.add(line(100));
    expect(read).toBe(4); // to the first that was read
    await table.addAll([line(101), line(102)], (_, ops) => db.batch([...ops], true));
    expect(read).toBe(4 + 50);
    counted.mockRestore();
    await table.add(line(103));
    const left = (await table.list('ann', 200)).rows.map(({ notificationId }) => notificationId);
    const gone = new Set([3, 4, 50, 0].map((n) => line(n).notificationId));
    const all = Array.from({ length: 104 }, (_, n) => line(n).notificationId);
    expect(left.toReversed()).toEqual(all.filter((id) => !gone.has(id)));
  } finally {
    await db.close();
    dir.remove();
  }
});

it('drops what was found for a want before what others have to say', async () => {
  const dir = tempDir('notification-table-wants');
  const db = await Database.open(dir.path, systemEnv);
  try {
    const table = openNotificationTable(db, 5);
    await table.add({ ...line(0), kind: 'proposal' });
    for (let n = 1; n < 10; n++) await table.add({ ...line(n), kind: 'want' });
    await table.markRead('ann', line(9).notificationId);
    for (const n of [10, 11]) await table.add({ ...line(n), kind: 'message' });
    const left = (await table.list('ann', 200)).rows.map(({ notificationId }) => notificationId);
    expect(left.toReversed()).toEqual([0, 7, 8, 10, 11].map((n) => line(n).notificationId));
  } finally {
    await db.close();
    dir.remove();
  }
});
