import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileCache } from '../support/compile-cache.ts';
import { freePort } from '../support/daemon.ts';
import { redisLacking, startRedis, type TestRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp-dir.ts';
import { UnexpectedStatus, waitFor } from '../support/wait.ts';

const lacking = redisLacking();
const script = (name: string): string => fileURLToPath(new URL(`../support/${name}.ts`, import.meta.url));
const KEY = 'worker-key-of-a-test';

interface ShownJob {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
}

describe.skipIf(lacking !== undefined)(
  `jobs with Redis and worker processes${lacking ? ` (${lacking})` : ''}`,
  () => {
    let redis: TestRedis;
    let dir: ReturnType<typeof tempDir>;
    let port: number;
    let effects: string;
    const running = new Set<ChildProcess>();

    beforeEach(async () => {
      redis = await startRedis();
      dir = tempDir('jobs-e2e');
      port = await freePort();
      effects = join(dir.path, 'effects');
      writeFileSync(effects, '');
    });
    afterEach(async () => {
      await Promise.all([...running].map((child) => kill(child)));
      await redis.remove();
      dir.remove();
    });

    function run(name: string, env: Record<string, string>): ChildProcess {
      const child = spawn(process.execPath, [script(name)], {
        env: { PATH: process.env['PATH'] ?? '', ...compileCache(), REDIS_URL: redis.url, ...env },
        stdio: ['ignore', 'inherit', 'ignore'],
      });
      running.add(child);
      return child;
    }
    async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
      running.delete(child);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: { 'x-api-key': KEY, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!response.ok)
        throw new UnexpectedStatus(`${method} ${path}`, response.status, await response.text());
      return (await response.json()) as T;
    }
    async function startDaemon(): Promise<ChildProcess> {
      const child = run('jobs-daemon', { DATA_DIR: join(dir.path, 'data'), PORT: String(port) });
      await waitFor('the daemon', () =>
        request('GET', '/jobs/health').then(
          () => true,
          () => false,
        ),
      );
      return child;
    }
    const startWorker = (name: string, workMs: number): ChildProcess =>
      run('jobs-worker', {
        BACKEND_URL: `http://127.0.0.1:${port}`,
        EFFECTS: effects,
        NAME: name,
        WORK_MS: String(workMs),
      });
    const add = async (source: string): Promise<string> =>
      (await request<ShownJob>('POST', '/jobs', { name: 'federation-sync', data: { source } })).id;
    const lines = (): string[][] =>
      readFileSync(effects, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' '));
    const done = (): string[][] => lines().filter(([, , what]) => what === 'done');

    /** Every job is completed, and its end was told once. */
    async function expectEndedOnce(ids: readonly string[]): Promise<ShownJob[]> {
      const { jobs } = await request<{ jobs: ShownJob[] }>('GET', '/jobs?limit=500');
      expect(jobs.map((job) => job.id).sort()).toEqual([...ids].sort());
      expect(jobs.filter((job) => job.state !== 'completed')).toEqual([]);
      const told = await waitFor('the ends to be told', async () => {
        const { notifications } = await request<{ notifications: { jobId: string; message: string }[] }>(
          'GET',
          '/notifications?limit=500',
        );
        const ends = notifications.filter(({ message }) => message.includes('is done'));
        return ends.length >= ids.length && ends;
      });
      expect(told.map(({ jobId }) => jobId).sort()).toEqual([...ids].sort());
      return jobs;
    }
    const allDone = (count: number): Promise<unknown> =>
      waitFor(
        `${count} jobs to be completed`,
        async () =>
          (await request<{ counts: { completed: number } }>('GET', '/jobs/health').catch(() => undefined))
            ?.counts.completed === count,
        45_000,
      );

    it('loses nothing when Redis dies with 30 jobs waiting; two workers share the backlog', async () => {
      await startDaemon();
      const ids: string[] = [];
      for (let n = 0; n < 30; n++) ids.push(await add(`legacy:https://n${n}.example.org`));
      await waitFor(
        'Redis to be used',
        async () => (await request<{ ok: boolean }>('GET', '/jobs/health')).ok,
      );
      await redis.kill();
      const { detail } = await waitFor('the daemon to notice', async () => {
        const health = await request<{ ok: boolean; detail: string }>('GET', '/jobs/health');
        return !health.ok && health;
      });
      expect(detail).toMatch(/^Redis is away since [^()]*; jobs wait/);
      // The API goes on meanwhile.
      for (let n = 30; n < 35; n++) ids.push(await add(`legacy:https://n${n}.example.org`));
      await redis.restart();
      startWorker('a', 200);
      startWorker('b', 200);
      await allDone(35);
      await expectEndedOnce(ids);
      expect(done()).toHaveLength(35);
      const by = (name: string): number => done().filter(([worker]) => worker === name).length;
      expect(Math.min(by('a'), by('b'))).toBeGreaterThan(5);
      await waitFor('health', async () => (await request<{ ok: boolean }>('GET', '/jobs/health')).ok);
    });

    it('loses nothing when Redis dies in the middle of the work', async () => {
      await startDaemon();
      const ids: string[] = [];
      for (let n = 0; n < 20; n++) ids.push(await add(`legacy:https://n${n}.example.org`));
      startWorker('a', 150);
      startWorker('b', 150);
      await waitFor('some to be done', () => done().length >= 5);
      await redis.kill();
      await redis.restart();
      await allDone(20);
      await expectEndedOnce(ids);
      expect(new Set(done().map(([, id]) => id)).size).toBe(20);
    });

    it('gives the jobs of a worker that was killed to another', async () => {
      await startDaemon();
      const ids: string[] = [];
      for (let n = 0; n < 6; n++) ids.push(await add(`legacy:https://n${n}.example.org`));
      const first = startWorker('a', 30_000);
      await waitFor('the worker to be in the middle of its jobs', () => lines().length === 4);
      await kill(first);
      startWorker('b', 50);
      await allDone(6);
      const jobs = await expectEndedOnce(ids);
      expect(done().map(([worker]) => worker)).toEqual(Array.from({ length: 6 }, () => 'b'));
      expect(jobs.map((job) => job.attempts).sort()).toEqual([1, 1, 2, 2, 2, 2]);
    });

    it('takes the report of a job that went on while the daemon was dead', async () => {
      const daemon = await startDaemon();
      const ids = [await add('legacy:https://n0.example.org'), await add('legacy:https://n1.example.org')];
      startWorker('a', 1500);
      await waitFor('the worker to be in the middle', () => lines().length === 2);
      await kill(daemon);
      await waitFor('the work to be done', () => done().length === 2);
      await startDaemon();
      await allDone(2);
      const jobs = await expectEndedOnce(ids);
      expect(jobs.map((job) => job.attempts)).toEqual([1, 1]);
      expect(done()).toHaveLength(2);
    });

    it('gives back what is under way when a worker is told to stop', async () => {
      await startDaemon();
      const ids = [await add('legacy:https://n0.example.org')];
      const first = startWorker('a', 30_000);
      await waitFor('the worker to be in the middle', () => lines().length === 1);
      await kill(first, 'SIGTERM');
      expect(first.exitCode).toBe(0);
      startWorker('b', 10);
      await allDone(1);
      expect((await expectEndedOnce(ids)).map((job) => job.attempts)).toEqual([1]);
    });
  },
);
