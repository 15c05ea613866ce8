import { serve } from '@hono/node-server';
import type { Scope } from '../../api/access.ts';
import { errorAnswer } from '../../api/errors.ts';
import { router } from '../../api/route.ts';
import { jobRoutes } from '../../api/routes/jobs.ts';
import { notificationRoutes } from '../../api/routes/notifications.ts';
import { createJobs } from '../../daemon/jobs/create-jobs.ts';
import type { JobRow } from '../../daemon/jobs/job-store.ts';
import { createNotifications } from '../../daemon/jobs/notifications.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { errorMessage } from '../../protocols/errors.ts';
import { Database } from '../../storage/database.ts';
import { openJobTable } from '../../storage/job-table.ts';
import { openNotificationTable } from '../../storage/notification-table.ts';

/** The jobs of a daemon alone, as a process that can be killed: real database, real queue, real routes. */
const { DATA_DIR = '', PORT = '', REDIS_URL = '', LEASE_MS = '2000' } = process.env;

const db = await Database.open(DATA_DIR, systemEnv);
const notifications = createNotifications({
  table: openNotificationTable(db),
  env: systemEnv,
  emit: () => undefined,
});
const log = (fields: Record<string, unknown>, message: string): void =>
  console.error(`${message}: ${errorMessage(fields['err'])}`);
const { queue, port } = await createJobs({
  settings: { redisUrl: REDIS_URL },
  table: openJobTable<JobRow>(db),
  env: systemEnv,
  logger: { warn: log, error: log },
  notify: (job, what) => notifications.tellSync(job, what),
  knowsSource: () => true,
  limits: { leaseMs: Number(LEASE_MS) },
});
await queue.start({});

const app = router();
app.onError((error, c) => {
  const { status, body } = errorAnswer(error);
  return c.json(body, status);
});
app.use(async (c, next) => {
  c.header('x-agrinet-version', '0');
  const scopes = new Set<Scope>(
    c.req.header('x-api-key') === 'worker-key-of-a-test' ? ['operator'] : ['read'],
  );
  c.set('principal', { id: scopes.has('operator') ? 'key' : 'anonymous', scopes });
  await next();
});
const served = app
  .route('/jobs', jobRoutes({ jobs: port }))
  .route('/notifications', notificationRoutes({ notifications: { ...notifications, languages: () => [] } }))
  .get('/federation/nodes', (c) => c.json({ nodes: [] }));
const server = serve({ fetch: served.fetch, hostname: '127.0.0.1', port: Number(PORT) });
process.once('SIGTERM', () => {
  server.close();
  void queue.stop().then(() => db.close());
});
