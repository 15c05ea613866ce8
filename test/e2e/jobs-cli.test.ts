import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agrinet, agrinetHere } from '../support/cli.ts';
import { compileCache } from '../support/compile-cache.ts';
import { freePort } from '../support/daemon.ts';
import { redisLacking, startRedis, type TestRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const lacking = redisLacking();
const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const DAEMON = fileURLToPath(new URL('../support/jobs-daemon.ts', import.meta.url));
const KEY = 'worker-key-of-a-test';

describe.skipIf(lacking !== undefined)(
  `agrinet worker and agrinet jobs${lacking ? ` (${lacking})` : ''}`,
  () => {
    let redis: TestRedis;
    let dir: ReturnType<typeof tempDir>;
    let daemon: { url: string; apiKey: string };
    const running: ChildProcess[] = [];

    beforeEach(async () => {
      redis = await startRedis({ password: 'secret-of-a-test' });
      dir = tempDir('jobs-cli');
      const port = await freePort();
      daemon = { url: `http://127.0.0.1:${port}`, apiKey: KEY };
      running.push(
        spawn(process.execPath, [DAEMON], {
          env: {
            ...compileCache(),
            DATA_DIR: join(dir.path, 'data'),
            PORT: String(port),
            REDIS_URL: redis.url,
          },
          stdio: 'ignore',
        }),
      );
      await waitFor('the daemon', () =>
        request('GET', '/jobs/health').then(
          (answer) => answer.ok,
          () => false,
        ),
      );
    });
    afterEach(async () => {
      for (const child of running.splice(0)) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }
      await redis.remove();
      dir.remove();
    });
    const request = (method: string, path: string, body?: unknown): Promise<Response> =>
      fetch(daemon.url + path, {
        method,
        headers: { 'x-api-key': KEY, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });

    it('says in one line what a worker lacks', async () => {
      const unset = await agrinet(daemon, ['worker']);
      expect(unset.stderr).toMatch(/^agrinet: REDIS_URL: not set\. .*\n$/);
      expect(unset.code).toBe(64);
      const refused = await agrinet({ ...daemon, apiKey: 'a-key-of-nobody' }, ['worker'], {
        REDIS_URL: redis.url,
      });
      expect(refused.stderr).toMatch(/^agrinet: The daemon at .* refused this API_KEY; .*scope worker.*\n$/);
      expect(refused.code).toBe(75);
      const url = redis.url.replace('secret-of-a-test', 'wrong');
      const wrong = await agrinet(daemon, ['worker'], { REDIS_URL: url });
      expect(wrong.stderr).toMatch(/^agrinet: REDIS_URL: Redis refused the password.*\n$/);
      expect(wrong.code).toBe(64);
    });

    it('waits for a Redis that is away, says so, and works when it comes; ends with 0 at SIGTERM', async () => {
      await redis.kill();
      const worker = spawn(process.execPath, [BIN, 'worker'], {
        env: {
          ...compileCache(),
          REDIS_URL: redis.url,
          BACKEND_URL: daemon.url,
          API_KEY: KEY,
          SYNC_INTERVAL_MINUTES: '0',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running.push(worker);
      let output = '';
      for (const stream of [worker.stdout, worker.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (output += text));
      await waitFor('the worker to wait', () => output.includes('waiting for Redis'));
      await redis.restart();
      await waitFor('the worker to work', () => output.includes('processing jobs of'));
      expect(output).not.toContain('secret-of-a-test');
      // The daemon of this test knows no sources, so a sync comes to a refusal, and that is told.
      const added = await request('POST', '/jobs', {
        name: 'federation-sync',
        data: { source: 'legacy:https://a.b' },
      });
      const { id } = (await added.json()) as { id: string };
      await waitFor('an attempt', async () => {
        const job = (await (await request('GET', `/jobs/${id}`)).json()) as { attempts: number };
        return job.attempts > 0;
      });
      const ended = once(worker, 'exit');
      worker.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    });

    it('lists jobs and tries dead ones again', async () => {
      const added = await request('POST', '/jobs', {
        name: 'federation-sync',
        data: { source: 'legacy:https://a.b' },
      });
      const { id } = (await added.json()) as { id: string };
      const { attempt } = (await (await request('POST', `/jobs/${id}/claim`, {})).json()) as {
        attempt: string;
      };
      const error = { code: 'gone', message: 'nobody there', final: true };
      await request('POST', `/jobs/${id}/fail`, { attempt, error });
      const listed = await agrinetHere(daemon, ['jobs', 'list', '--state', 'dead']);
      expect(listed.stdout).toContain('1 dead');
      expect(listed.stdout).toContain(id);
      expect(listed.stdout).toContain('nobody there');
      expect(await agrinetHere(daemon, ['jobs', 'retry', id])).toMatchObject({
        code: 0,
        stdout: `${id}: waiting\n`,
      });
      expect((await agrinetHere(daemon, ['jobs', 'retry', id])).code).toBe(75);
      const json = await agrinetHere(daemon, ['jobs', '--json']);
      expect(JSON.parse(json.stdout)).toMatchObject({ jobs: [{ id, state: 'waiting', attempts: 0 }] });
    });
  },
);
