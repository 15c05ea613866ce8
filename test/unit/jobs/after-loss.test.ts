import { afterEach, beforeEach, expect, it } from 'vitest';
import { type JobRow, JobStore } from '../../../daemon/jobs/job-store.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { openJobTable } from '../../../storage/job-table.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let db: Database;
let now = 1_800_000_000_000;
beforeEach(async () => {
  dir = tempDir('jobs-after-loss');
  db = await Database.open(dir.path, systemEnv);
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

const open = (lostAt?: number): Promise<JobStore> =>
  JobStore.open({
    table: openJobTable<JobRow>(db),
    env: { ...systemEnv, now: () => now },
    notify: async () => undefined,
    onTrouble: () => undefined,
    lostAt,
  });

it('a job that waited when the data were lost may have been done: its first attempt counts as a further one', async () => {
  const before = await open();
  const sms = { phone: '+254700000001', message: 'x' };
  const { id: waited } = await before.add('sms', sms);
  const { id: tried } = await before.add('sms', sms);
  const { attempt } = await before.claimLocal(tried);
  await before.fail(tried, attempt, { code: 'sms-unavailable', message: 'busy' });
  await before.stop();
  now += 60_000;
  const after = await open(now);
  now += 1;
  const { id: later } = await after.add('sms', sms);
  const attempts: number[] = [];
  // An attempt beyond the first asks the provider before it sends: test/unit/jobs/sms.test.ts.
  for (const id of [waited, tried, later]) attempts.push((await after.claimLocal(id)).job.attempts);
  expect(attempts).toEqual([2, 2, 1]);
  await after.stop();
});
