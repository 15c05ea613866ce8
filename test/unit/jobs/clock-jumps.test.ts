import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JobStore, type JobRow } from '../../../daemon/jobs/job-store.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { openJobTable } from '../../../storage/job-table.ts';
import { tempDir } from '../../support/temp-dir.ts';

const START = Date.UTC(2026, 10, 28);
const MINUTE = 60_000;
const YEAR = 365.25 * 24 * 60 * MINUTE;
const NAMES = new Set(['federation-sync'] as const);
let dir: ReturnType<typeof tempDir>;
let db: Database;
let ledger: JobStore;
let wall: number;
let steady: number;

async function open(): Promise<JobStore> {
  return JobStore.open({
    table: openJobTable<JobRow>(db),
    env: { ...systemEnv, now: () => wall, monotonic: () => steady, random: () => 0.999 },
    notify: async () => undefined,
    onTrouble: () => undefined,
  });
}
beforeEach(async () => {
  dir = tempDir('jumps');
  mkdirSync(join(dir.path, 'data'));
  db = await Database.open(join(dir.path, 'data'), systemEnv);
  [wall, steady] = [START, 0];
  ledger = await open();
});
afterEach(async () => {
  await ledger.stop();
  await db.close();
  dir.remove();
});

/** A sync that fails until its source's breaker is open. */
async function failing(times: number): Promise<string> {
  const { id } = await ledger.add('federation-sync', { source: 'p' });
  for (let i = 0; i < times; i++) {
    const { attempt } = await ledger.claimLocal(id);
    await ledger.fail(id, attempt, { code: 'peer-unreachable', message: 'gone' });
    wall += 6 * MINUTE;
    steady += 6 * MINUTE;
  }
  return id;
}

describe.each([
  ['+40 years', 40 * YEAR],
  ['+3 h', 180 * MINUTE],
  ['-56 years', -56 * YEAR],
])('a clock that jumps by %s for a minute', (_, by) => {
  test('leaves no job that is due beyond its own longest wait, in this process and in the next', async () => {
    wall += by;
    const id = await failing(3);
    wall -= by;
    for (const life of ['this', 'next']) {
      if (life === 'next') {
        await ledger.stop();
        ledger = await open();
      }
      const job = ledger.get(id);
      expect((job?.runAt ?? Infinity) - wall, life).toBeLessThanOrEqual(30 * MINUTE);
      expect(ledger.counts().waiting + ledger.counts().delayed).toBe(1);
    }
    // A later sync merges into it, and it is done.
    expect((await ledger.add('federation-sync', { source: 'p' })).id).toBe(id);
    wall += 30 * MINUTE;
    expect(ledger.due(NAMES, 9).map((job) => job.id)).toEqual([id]);
  });

  test('a source that is left alone is so for its half hour, by a clock that nobody sets', async () => {
    const { id } = await ledger.add('federation-sync', { source: 'p' }, { maxAttempts: 99 });
    for (let i = 0; i < 6; i++) {
      const { attempt } = await ledger.claimLocal(id);
      await ledger.fail(id, attempt, { code: 'peer-unreachable', message: 'gone' });
      wall += 31 * MINUTE;
      steady += 31 * MINUTE;
    }
    const { attempt } = await ledger.claimLocal(id);
    wall += by;
    const failed = await ledger.fail(id, attempt, { code: 'peer-unreachable', message: 'gone' });
    expect(failed.runAt - wall).toBeLessThanOrEqual(30 * MINUTE);
    wall -= by;
    expect((ledger.get(id)?.runAt ?? Infinity) - wall).toBeLessThanOrEqual(30 * MINUTE);
  });

  test('a worker elsewhere keeps its lease', async () => {
    const { id } = await ledger.add('federation-sync', { source: 'p' });
    const { attempt } = await ledger.claim(id);
    wall += by;
    await ledger.progress(id, attempt, { done: 1 });
    wall -= by;
    await expect(ledger.complete(id, attempt, {})).resolves.toMatchObject({ state: 'completed' });
  });
});
