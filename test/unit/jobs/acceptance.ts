import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../../api/ports/jobs.ts';
import type { JobHandlers, JobQueue } from '../../../daemon/jobs/job-queue.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { waitFor } from '../../support/wait.ts';

/** A queue on a real database that can be closed and opened again. */
export interface Bench {
  readonly queue: JobQueue;
  /** Ends as a process that is killed would: nothing is given back. */
  crash(): Promise<void>;
  stop(): Promise<void>;
  /** Opens the same database again. */
  reopen(): Promise<void>;
  /** What was told of jobs: `<id> <what>`. */
  readonly told: readonly string[];
  /** Lets so much time pass for the queue's clock. */
  pass(ms: number): void;
  remove(): Promise<void>;
}

/** What every JobQueue does, whoever works on its jobs. */
export function queueAcceptance(
  name: string,
  create: (limits?: { live?: number; completed?: number }) => Promise<Bench>,
): void {
  describe(`JobQueue: ${name}`, () => {
    let bench: Bench;
    const ran: string[] = [];
    const note =
      (result = 'done') =>
      async (job: Job) => {
        ran.push(JSON.stringify(job.data['n']));
        return { result };
      };
    const ended = (id: string, state: 'completed' | 'dead') =>
      waitFor(
        `${id} to be ${state}`,
        async () => {
          const job = await bench.queue.get(id);
          return job?.state === state ? job : undefined;
        },
        30_000,
      );
    const start = (handlers: JobHandlers) => bench.queue.start(handlers);

    beforeEach(async () => {
      ran.length = 0;
      bench = await create();
    });
    afterEach(() => bench.remove());

    it('does each of 40 jobs once, and keeps what came of it', async () => {
      await start({ sms: note('sent') });
      const jobs = await Promise.all(Array.from({ length: 40 }, (_, n) => bench.queue.add('sms', { n })));
      for (const { id } of jobs) expect((await ended(id, 'completed')).result).toEqual({ result: 'sent' });
      expect(ran.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n));
      expect(bench.queue.counts()).toEqual({ waiting: 0, delayed: 0, active: 0, completed: 40, dead: 0 });
    });

    it('has one waiting or active job per key, and one sync per source whatever the key', async () => {
      const one = await bench.queue.add('sms', { n: 1 }, { key: 'k' });
      expect((await bench.queue.add('sms', { n: 2 }, { key: 'k' })).id).toBe(one.id);
      const sync = await bench.queue.add('federation-sync', { source: 's', force: false }, { key: 'a' });
      const forced = await bench.queue.add('federation-sync', { source: 's', force: true });
      expect(forced).toMatchObject({ id: sync.id, data: { force: true } });
      const begun = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      await start({
        sms: async () => {
          begun.resolve();
          await go.promise;
          return {};
        },
      });
      await begun.promise;
      expect((await bench.queue.add('sms', { n: 3 }, { key: 'k' })).id).toBe(one.id);
      go.resolve();
      await ended(one.id, 'completed');
      expect((await bench.queue.add('sms', { n: 4 }, { key: 'k' })).id).not.toBe(one.id);
    });

    it('tries again after a failure, and knows dead ones that can be retried', async () => {
      let healthy = false;
      await start({
        sms: async (job) => {
          ran.push(job.id);
          if (!healthy) throw new AgrinetError('peer-unreachable', 'not this time');
          return {};
        },
      });
      const { id } = await bench.queue.add('sms', {}, { maxAttempts: 3 });
      const failing = setInterval(() => bench.pass(1000), 20);
      const dead = await ended(id, 'dead').finally(() => clearInterval(failing));
      expect(dead).toMatchObject({
        attempts: 3,
        error: { code: 'peer-unreachable', message: 'not this time' },
      });
      expect(ran).toEqual([id, id, id]);
      expect((await bench.queue.list({ state: 'dead', limit: 10 })).jobs.map((job) => job.id)).toEqual([id]);
      healthy = true;
      await bench.queue.retry(id);
      expect((await ended(id, 'completed')).attempts).toBe(1);
      await expect(bench.queue.retry(id)).rejects.toMatchObject({ code: 'job-not-dead' });
      await expect(bench.queue.retry('none')).rejects.toMatchObject({ code: 'not-found' });
    });

    it('does not try again what is final, and keeps the words of internal errors to itself', async () => {
      await start({
        sms: () => Promise.reject(new AgrinetError('sms-refused', 'never')),
        'federation-sync': () => Promise.reject(new Error('secret words')),
      });
      const final = await bench.queue.add('sms', {});
      expect((await ended(final.id, 'dead')).attempts).toBe(1);
      const internal = await bench.queue.add('federation-sync', { source: 's' }, { maxAttempts: 1 });
      expect((await ended(internal.id, 'dead')).error).toEqual({
        code: 'internal',
        message: 'internal error; the log has the details',
      });
    });

    it('begins nothing before its time', async () => {
      await start({ sms: note() });
      const { id, state } = await bench.queue.add('sms', {}, { delayMs: 3_600_000 });
      expect(state).toBe('delayed');
      const now = await bench.queue.add('sms', { n: 'now' });
      await ended(now.id, 'completed');
      expect(ran).toEqual(['"now"']);
      bench.pass(3_600_000);
      await bench.queue.add('sms', { n: 'later' });
      await ended(id, 'completed');
    });

    it('keeps a failing source away for a while after five failures in a row', async () => {
      await start({ 'federation-sync': () => Promise.reject(new AgrinetError('peer-timeout', 'no answer')) });
      for (let n = 0; n < 5; n++) {
        const { id } = await bench.queue.add('federation-sync', { source: 's' }, { maxAttempts: 1 });
        await ended(id, 'dead');
      }
      const next = await bench.queue.add('federation-sync', { source: 's' });
      expect(next.state).toBe('delayed');
      expect(next.runAt - next.createdAt).toBeGreaterThan(50_000);
      expect((await bench.queue.add('federation-sync', { source: 'other' })).state).toBe('waiting');
    });

    it('loses nothing at a crash: what waits and what was active is done by the next process', async () => {
      const begun = Promise.withResolvers<void>();
      await start({
        sms: () => {
          begun.resolve();
          return new Promise(() => undefined);
        },
      });
      const active = await bench.queue.add('sms', { n: 'active' });
      await begun.promise;
      const delayed = await bench.queue.add('federation-sync', { source: 'x' }, { delayMs: 60_000 });
      await bench.crash();
      await bench.reopen();
      expect((await bench.queue.get(delayed.id))?.state).toBe('delayed');
      await start({ sms: note() });
      expect((await ended(active.id, 'completed')).attempts).toBe(2);
      expect(ran).toEqual(['"active"']);
    });

    it('gives back what is under way when it is stopped, and does not count that attempt', async () => {
      const begun = Promise.withResolvers<void>();
      await start({
        sms: (_job, { signal }) => {
          begun.resolve();
          return new Promise((_, reject) =>
            signal.addEventListener('abort', () => reject(new AgrinetError('stopping', 'told to'))),
          );
        },
      });
      const { id } = await bench.queue.add('sms', { n: 'again' });
      await begun.promise;
      await bench.stop();
      await bench.reopen();
      expect(await bench.queue.get(id)).toMatchObject({ state: 'waiting', attempts: 0 });
      await start({ sms: note() });
      await ended(id, 'completed');
    });

    it('tells progress and end of a job once each', async () => {
      await start({
        'federation-sync': async (_job, run) => {
          await run.progress({ received: 1 });
          await run.progress({ received: 2 });
          return { received: 2 };
        },
      });
      const { id } = await bench.queue.add('federation-sync', { source: 's' });
      const job = await ended(id, 'completed');
      expect(job).toMatchObject({ progress: { received: 2 }, result: { received: 2 } });
      await waitFor('the end to be told', () => bench.told.length === 2);
      expect(bench.told).toEqual([`${id} progress`, `${id} ended`]);
    });

    it('is bounded: refuses more than it may hold, and forgets the oldest that are completed', async () => {
      await bench.remove();
      bench = await create({ live: 5, completed: 3 });
      const jobs = [];
      for (let n = 0; n < 5; n++) jobs.push(await bench.queue.add('sms', { n }));
      await expect(bench.queue.add('sms', {})).rejects.toMatchObject({ code: 'jobs-full' });
      await start({ sms: note() });
      await waitFor('all to be done', () => ran.length === 5 && bench.queue.counts().active === 0, 30_000);
      expect(bench.queue.counts()).toMatchObject({ waiting: 0, completed: 3 });
      await bench.stop();
      await bench.reopen();
      expect(bench.queue.counts()).toMatchObject({ waiting: 0, completed: 3 });
    });

    it('lists newest first, page by page', async () => {
      const added: string[] = [];
      for (let n = 0; n < 5; n++) {
        bench.pass(1);
        added.push((await bench.queue.add('sms', { n })).id);
      }
      const first = await bench.queue.list({ limit: 3 });
      const second = await bench.queue.list({ limit: 3, cursor: first.cursor });
      expect([...first.jobs, ...second.jobs].map((job) => job.id)).toEqual(added.reverse());
      expect(second.cursor).toBeUndefined();
    });
  });
}
