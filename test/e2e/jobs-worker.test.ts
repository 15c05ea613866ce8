import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { join, startDaemon } from '../support/daemon.ts';
import { redisLacking, startRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const lacking = redisLacking();
const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

describe.skipIf(lacking !== undefined)(
  `agrinet worker with real daemons${lacking ? ` (${lacking})` : ''}`,
  () => {
    it('does a pull that the daemon was asked for, and the daemon tells of it', async () => {
      const redis = await startRedis();
      const dirs = [tempDir('worker-a'), tempDir('worker-b')] as const;
      const one = await startDaemon(dirs[0].path, { REDIS_URL: redis.url, MYCELIUM_NETWORK: 'worker-test' });
      const other = await startDaemon(dirs[1].path, { MYCELIUM_NETWORK: 'worker-test' });
      const worker = spawn(process.execPath, [BIN, 'worker'], {
        env: { REDIS_URL: redis.url, BACKEND_URL: one.url, API_KEY: one.apiKey, DATA_DIR: dirs[0].path },
        stdio: 'ignore',
      });
      try {
        await join(one, other);
        const pulled = await one.json<{ id: string }>('POST', '/federation/pull', { sourceUrl: other.url });
        expect(pulled.id).toMatch(/^job-/);
        const job = await waitFor(
          'the sync',
          async () => {
            const { jobs } = await one.json<{ jobs: { state: string; name: string; result?: object }[] }>(
              'GET',
              '/jobs?state=completed',
            );
            return jobs.find(({ name }) => name === 'federation-sync');
          },
          30_000,
        );
        expect(job.result).toMatchObject({ refused: 0 });
        const told = await waitFor('the notification', async () => {
          const { notifications } = await one.json<{ notifications: { message: string }[] }>(
            'GET',
            '/notifications',
          );
          return notifications.find(({ message }) => message.includes('is done'));
        });
        expect(told.message).toMatch(/^Sync with \w+ is done: /);
      } finally {
        const ended = once(worker, 'exit');
        worker.kill('SIGTERM');
        expect(await ended).toEqual([0, null]);
        await one.stop();
        await other.stop();
        await redis.remove();
        for (const dir of dirs) dir.remove();
      }
    });
  },
);
