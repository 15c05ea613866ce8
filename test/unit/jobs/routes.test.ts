import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Scope } from '../../../api/access.ts';
import { router } from '../../../api/route.ts';
import { jobRoutes } from '../../../api/routes/jobs.ts';
import { notificationRoutes } from '../../../api/routes/notifications.ts';
import { createJobs, type Jobs } from '../../../daemon/jobs/create-jobs.ts';
import type { JobRow } from '../../../daemon/jobs/job-store.ts';
import { createNotifications, type Notifications } from '../../../daemon/jobs/notifications.ts';
import { notificationHandler } from '../../../daemon/jobs/notify-handlers.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { Database } from '../../../storage/database.ts';
import { openJobTable } from '../../../storage/job-table.ts';
import { openNotificationTable } from '../../../storage/notification-table.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const PHONE = '+254700000001';

describe('jobs and notifications over HTTP', () => {
  let dir: ReturnType<typeof tempDir>;
  let db: Database;
  let jobs: Jobs;
  let notifications: Notifications;
  let now: number;
  const events: string[] = [];

  beforeEach(async () => {
    dir = tempDir('job-routes');
    db = await Database.open(dir.path, systemEnv);
    now = 1_700_000_000_000;
    events.length = 0;
    notifications = createNotifications({
      table: openNotificationTable(db, 5),
      env: { ...systemEnv, now: () => now++ },
      emit: (type, { notificationId }, { userId }) =>
        void events.push(`${type} ${userId} ${JSON.stringify(notificationId)}`),
    });
    jobs = await createJobs({
      settings: { redisUrl: undefined },
      table: openJobTable<JobRow>(db),
      env: systemEnv,
      logger: { warn: () => undefined, error: () => undefined },
      notify: (job, what) => notifications.tellSync(job, what),
      knowsSource: (id) => id === 'legacy:https://old.example.org',
    });
  });
  afterEach(async () => {
    await jobs.queue.stop();
    await db.close();
    dir.remove();
  });

  function app(scopes: Scope[], userId?: string) {
    const routes = router();
    routes.onError((error, c) => c.json({ code: errorCode(error) }, 400));
    routes.use(async (c, next) => {
      c.set('principal', { id: 'key', scopes: new Set(scopes), ...(userId === undefined ? {} : { userId }) });
      await next();
    });
    const served = routes
      .route('/jobs', jobRoutes({ jobs: jobs.port }))
      .route(
        '/notifications',
        notificationRoutes({ notifications: { ...notifications, languages: () => [] } }),
      );
    return async (method: string, path: string, body?: unknown) => {
      const answer = await served.request(path, {
        method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const text = await answer.text();
      return {
        status: answer.status,
        text,
        json: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
      };
    };
  }

  it('lets a worker take a job once, report on it, and repeat its report', async () => {
    const worker = app(['worker']);
    const data = { source: 'legacy:https://old.example.org' };
    const { json: added, status } = await worker('POST', '/jobs', { name: 'federation-sync', data });
    expect(status).toBe(202);
    const path = `/jobs/${String(added['id'])}`;
    const { json: claimed } = await worker('POST', `${path}/claim`, {});
    expect(claimed).toMatchObject({ job: { state: 'active', attempts: 1 }, leaseMs: 15_000 });
    expect((await worker('POST', `${path}/claim`, {})).json['code']).toBe('job-claimed');
    const { attempt } = claimed;
    expect((await worker('POST', `${path}/progress`, { attempt, progress: { received: 3 } })).status).toBe(
      204,
    );
    expect((await worker('POST', `${path}/progress`, { attempt: 'other' })).json['code']).toBe(
      'attempt-over',
    );
    const report = { attempt, result: { received: 3, imported: 2 } };
    for (const _ of [1, 2])
      expect((await worker('POST', `${path}/complete`, report)).json['state']).toBe('completed');
    expect((await worker('POST', `${path}/complete`, { ...report, attempt: 'x' })).json['code']).toBe(
      'attempt-over',
    );
    expect((await worker('POST', `${path}/claim`, {})).json['code']).toBe('job-ended');
    expect((await worker('GET', '/jobs')).json['code']).toBe('forbidden');
    const operator = app(['operator']);
    const messages = await waitFor('both notifications', async () => {
      const { notifications } = (await operator('GET', '/notifications')).json as {
        notifications: { message: string }[];
      };
      return notifications.length === 2 && notifications.map(({ message }) => message).sort();
    });
    expect(messages).toEqual([
      'Sync with legacy:https://old.example.org is done: 3 received, 2 imported',
      'Sync with legacy:https://old.example.org is under way',
    ]);
    expect((await operator('GET', '/jobs/health')).json).toMatchObject({
      ok: true,
      counts: { completed: 1 },
    });
  });

  it('gives a job whose worker is silent to another, and takes nothing from the first any more', async () => {
    await jobs.queue.stop();
    jobs = await createJobs({
      settings: { redisUrl: undefined },
      table: openJobTable<JobRow>(db),
      env: systemEnv,
      logger: { warn: () => undefined, error: () => undefined },
      notify: async () => undefined,
      knowsSource: () => true,
      limits: { leaseMs: 50 },
    });
    const { attempts } = jobs.port;
    const { id } = await jobs.port.enqueueSync('a');
    const first = await attempts.claim(id);
    const second = await waitFor('the lease to end', () => attempts.claim(id).catch(() => undefined));
    await expect(attempts.complete(id, first.attempt, {})).rejects.toMatchObject({ code: 'attempt-over' });
    expect(await attempts.complete(id, second.attempt, {})).toMatchObject({
      state: 'completed',
      attempts: 2,
    });
  });

  it('queues syncs of known sources only', async () => {
    const wish = { name: 'federation-sync', data: { source: 'legacy:http://169.254.169.254' } };
    expect((await app(['worker'])('POST', '/jobs', wish)).json['code']).toBe('source-unknown');
    expect((await app(['worker'])('POST', '/jobs', { ...wish, name: 'sms' })).json['code']).toBe(
      'fields-invalid',
    );
    expect((await app(['write'])('POST', '/jobs', wish)).json['code']).toBe('forbidden');
  });

  it('shows a phone number to the worker alone', async () => {
    const { id } = await jobs.queue.add('sms', { phone: PHONE, message: 'rain' });
    const operator = app(['operator']);
    for (const path of ['/jobs', `/jobs/${id}`])
      expect((await operator('GET', path)).text).not.toContain('2547');
    const { text, json } = await app(['worker'])('POST', `/jobs/${id}/claim`, {});
    expect(text).toContain(PHONE);
    const error = { code: 'sms-refused', message: 'no' };
    const failed = await app(['worker'])('POST', `/jobs/${id}/fail`, { attempt: json['attempt'], error });
    expect(failed.text).not.toContain('2547');
    expect(failed.json).toMatchObject({ error });
  });

  it('makes a line and an SMS of a notification, once, however often it runs', async () => {
    const handler = notificationHandler(notifications, jobs.queue, true);
    const job = await jobs.queue.add('notification', { userId: 'amina', message: 'rain', phone: PHONE });
    const run = { signal: new AbortController().signal, progress: async () => undefined };
    await handler(job, run);
    await handler(job, run);
    expect((await notifications.list('amina', 10)).notifications).toMatchObject([
      { message: 'rain', read: false },
    ]);
    const { jobs: found } = await jobs.queue.list({ limit: 10 });
    expect(found.filter(({ name }) => name === 'sms').map(({ data }) => data)).toEqual([
      { phone: PHONE, message: 'rain' },
    ]);
    expect(events).toEqual([`notification amina "${job.id}"`]);
  });

  it('shows a user’s notifications to that user and the operator, and marks them read', async () => {
    await notifications.record('amina', 'one');
    await notifications.record('amina', 'two');
    await notifications.record('ami', 'other');
    const amina = app(['write'], 'amina');
    const first = await amina('GET', '/notifications?limit=1');
    expect(first.json).toMatchObject({ notifications: [{ userId: 'amina', message: 'two', read: false }] });
    const second = await amina('GET', `/notifications?cursor=${String(first.json['cursor'])}`);
    expect(second.json).toMatchObject({ notifications: [{ message: 'one' }] });
    expect(second.json['cursor']).toBeUndefined();
    expect((await amina('GET', '/notifications?userId=ami')).json['code']).toBe('forbidden');
    expect((await app(['write'])('GET', '/notifications')).json['code']).toBe('forbidden');
    const id = (first.json['notifications'] as { notificationId: string }[])[0]?.notificationId ?? '';
    expect((await app(['write'], 'ami')('POST', `/notifications/${id}/read`)).json['code']).toBe('not-found');
    for (const _ of [1, 2])
      expect((await amina('POST', `/notifications/${id}/read`)).json['read']).toBe(true);
    expect(events.filter((line) => line.startsWith('notification.read'))).toEqual([
      `notification.read amina "${id}"`,
    ]);
    expect((await app(['operator'])('GET', '/notifications?userId=ami')).text).toContain('other');
    expect((await app(['operator'])('GET', '/notifications?userId=ami')).text).not.toContain('two');
    for (const strange of ['%EF%BF%BF', '..%2Fami%2F', '%00', 'zzz'])
      expect((await amina('GET', `/notifications?cursor=${strange}`)).text).not.toContain('other');
  });

  it('keeps a bounded number for a user: the oldest that were read go first', async () => {
    for (let n = 0; n < 5; n++) await notifications.record('amina', `n${n}`, { once: `id-${n}` });
    await notifications.markRead('amina', 'id-3');
    await notifications.record('amina', 'n5', { once: 'id-5' });
    await notifications.record('amina', 'n6', { once: 'id-6' });
    const kept = (await notifications.list('amina', 10)).notifications.map(({ message }) => message);
    expect(kept).toEqual(['n6', 'n5', 'n4', 'n2', 'n1']);
  });
});
