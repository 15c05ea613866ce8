import { afterAll, beforeAll, describe } from 'vitest';
import { randomBytes } from 'node:crypto';
import { createBullmqQueue } from '../../../daemon/jobs/bullmq-queue.ts';
import { createEmbeddedQueue } from '../../../daemon/jobs/embedded-queue.ts';
import { type JobRow, JobStore } from '../../../daemon/jobs/job-store.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { openJobTable } from '../../../storage/job-table.ts';
import { redisLacking, startRedis, type TestRedis } from '../../support/redis.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { type Bench, queueAcceptance } from './acceptance.ts';

/** A queue on a real database in a folder of its own; with `redisUrl` through a real Redis. */
async function bench(
  redisUrl: string | undefined,
  limits: { live?: number; completed?: number } = {},
): Promise<Bench> {
  const dir = tempDir('jobs');
  const prefix = `t${randomBytes(6).toString('hex')}`;
  const told: string[] = [];
  let offset = 0;
  const now = (): number => Date.now() + offset;
  const env = { ...systemEnv, now, monotonic: now, random: () => 0 };

  async function open() {
    const db = await Database.open(dir.path, systemEnv);
    const table = openJobTable<JobRow>(db);
    let dead = false;
    const ledger = await JobStore.open({
      // After the crash nothing of this process reaches the disk any more.
      table: {
        load: (onDamaged) => table.load(onDamaged),
        save: (...args) => (dead ? new Promise(() => undefined) : table.save(...args)),
      },
      env,
      notify: async (job, what) => void told.push(`${job.id} ${what}`),
      onTrouble: () => undefined,
      limits: { ...limits, leaseMs: 500 },
    });
    const queue =
      redisUrl === undefined
        ? createEmbeddedQueue({ store: ledger, env, onTrouble: () => undefined })
        : createBullmqQueue({ store: ledger, redisUrl, onTrouble: () => undefined, env, prefix }, [
            'sms',
            'federation-sync',
          ]);
    return {
      queue,
      async close() {
        await queue.stop();
        await ledger.stop();
        await db.close();
      },
      async crash() {
        dead = true;
        void queue.stop();
        void ledger.stop();
        await db.close();
      },
    };
  }

  let current: Awaited<ReturnType<typeof open>> | undefined = await open();
  const end = async (how: 'close' | 'crash'): Promise<void> => {
    const ending = current;
    current = undefined;
    await ending?.[how]();
  };
  return {
    get queue() {
      if (current === undefined) throw new Error('the queue is closed');
      return current.queue;
    },
    told,
    crash: () => end('crash'),
    stop: () => end('close'),
    reopen: async () => {
      current = await open();
    },
    pass: (ms) => {
      offset += ms;
    },
    async remove() {
      await end('close');
      dir.remove();
    },
  };
}

queueAcceptance('embedded', (limits) => bench(undefined, limits));

const lacking = redisLacking();
describe.skipIf(lacking !== undefined)(`with Redis${lacking ? ` (${lacking})` : ''}`, () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.remove());
  queueAcceptance('BullMQ on Redis', (limits) => bench(redis.url, limits));
});
