import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { compileCache } from '../support/compile-cache.ts';
import { type Daemon, join, startDaemonHere } from '../support/daemon.ts';
import { redisLacking, startRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const lacking = redisLacking();
const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

describe.skipIf(lacking !== undefined)(
  `agrinet worker with real daemons${lacking ? ` (${lacking})` : ''}`,
  () => {
    const cleanUp: (() => unknown)[] = [];
    afterEach(async () => {
      for (const step of cleanUp.splice(0).reverse()) await step();
    });
    async function daemon(env: Record<string, string>): Promise<Daemon> {
      const dir = tempDir('worker');
      cleanUp.push(() => dir.remove());
      const started = await startDaemonHere(dir.path, { MYCELIUM_NETWORK: 'worker-test', ...env });
      cleanUp.push(() => started.stop());
      return started;
    }

    it('does a pull that the daemon was asked for, and the daemon tells of it', async () => {
      const redis = await startRedis();
      cleanUp.push(() => redis.remove());
      const one = await daemon({ REDIS_URL: redis.url });
      const other = await daemon({});
      const worker = spawn(process.execPath, [BIN, 'worker'], {
        env: { ...compileCache(), REDIS_URL: redis.url, BACKEND_URL: one.url, API_KEY: one.apiKey },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      cleanUp.push(() => worker.kill('SIGKILL'));
      let output = '';
      for (const stream of [worker.stdout, worker.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (output += text));
      const ended = once(worker, 'exit');
      await waitFor('the worker to work', () => output.includes('processing jobs of'));
      await join(one, other);
      await one.json('POST', '/federation/pull', { sourceUrl: other.url });
      const job = await waitFor(
        'the sync',
        async () => {
          const { jobs } = await one.json<{ jobs: { state: string; name: string; result?: object }[] }>(
            'GET',
            '/jobs?limit=10',
          );
          return jobs.find(({ name, state }) => name === 'federation-sync' && /completed|dead/.test(state));
        },
        30_000,
      );
      expect(job).toMatchObject({ state: 'completed', result: { refused: 0 } });
      const told = await waitFor('the notification', async () => {
        const { notifications } = await one.json<{ notifications: { message: string }[] }>(
          'GET',
          '/notifications',
        );
        return notifications.find(({ message }) => message.includes('is done'));
      });
      expect(told.message).toMatch(/^Sync with \w+ is done: /);
      worker.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    });
  },
);
