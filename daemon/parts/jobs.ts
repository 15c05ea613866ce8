import { openJobTable } from '../../storage/job-table.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import { lostAt } from '../../storage/rejoin-note.ts';
import type { AccessControl } from '../access/access.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { previousSecret } from '../secrets.ts';
import { createWebhookHandler, startWebhooks, type WebhookOptions } from '../events/webhooks.ts';
import type { Exchange } from '../federation/exchange.ts';
import { createJobs, type Jobs } from '../jobs/create-jobs.ts';
import type { JobRow } from '../jobs/job-store.ts';
import { createNotifications, type Notifications } from '../jobs/notifications.ts';
import { notificationHandler } from '../jobs/notify-handlers.ts';
import { startSchedule } from '../jobs/schedule.ts';
import { syncHandler } from '../jobs/sync-handler.ts';
import type { CellPublisher } from '../market/cell-publisher.ts';
import type { TrendPublisher } from '../market/trend-publisher.ts';
import { definePart, type Face, type PartList } from '../parts.ts';
import { accountOf } from '../settings.ts';
import type { RunningCheckpoints } from './watch.ts';
import type { Node } from './running.ts';
import type { Sources } from './sources.ts';

/** Notifications to users, and the jobs: none runs before `defineWork`. */
export function defineJobs(
  parts: PartList,
  node: Pick<Node, 'settings' | 'db' | 'env' | 'events' | 'logger'>,
  {
    sources,
    table,
  }: { readonly sources: Face<Pick<Sources, 'list'>>; readonly table: Face<NotificationTable> },
) {
  const notifications = parts.add(
    definePart<Notifications>('notifications', () => ({
      face: createNotifications({
        table: table.face,
        env: node.env,
        emit: (type, data, audience) => node.events.emit(type, data, audience),
      }),
    })),
  );
  const jobs = parts.add(
    definePart<Jobs>('jobs', async () => {
      const { settings, db, env, logger } = node;
      const opened = await createJobs({
        settings,
        table: openJobTable<JobRow>(db),
        env,
        logger,
        lostAt: await lostAt(db, env.now()),
        notify: (job, what) => {
          if (job.state === 'dead')
            logger.warn({ job: job.id, key: job.key, error: job.error }, 'a job is dead; see agrinet jobs');
          return notifications.face.tellSync(job, what);
        },
        knowsSource: (id) => sources.face.list().some((source) => source.id === id),
      });
      return { face: opened, stop: () => opened.queue.stop() };
    }),
  );
  return { notifications, jobs };
}

type WorkNode = Pick<Node, 'settings' | 'identity' | 'clock' | 'env' | 'events' | 'fetch' | 'logger'>;

export interface WorkComponents {
  readonly notifications: Face<Notifications>;
  readonly jobs: Face<Jobs>;
  readonly keys: Face<Pick<AccessControl, 'keys'>>;
  readonly exchange: Face<Exchange>;
  readonly audit: Face<{ readonly audit: Pick<AuditLog, 'sign'> }>;
  readonly trends: Face<{ readonly publisher: Pick<TrendPublisher, 'publishIfDue'> }>;
  readonly cells: Face<CellPublisher>;
  readonly checkpoints: Face<Pick<RunningCheckpoints, 'look'>>;
}

/** Jobs are done from here on, and queued: one for each event that goes out, and those that come again and again. */
export function defineWork(parts: PartList, node: WorkNode, components: WorkComponents): void {
  const { jobs } = components;
  const webhook = webhookOptions(node);
  parts.add(
    definePart('webhooks', () => {
      const webhooks = startWebhooks(webhook, node.events, (name, data, { key }) =>
        jobs.face.queue.add(name, data, { key }),
      );
      return { face: undefined, stop: () => webhooks.close() };
    }),
  );
  parts.add(
    definePart('job handlers', async () => {
      await startHandlers(node, components, webhook);
      return { face: undefined };
    }),
  );
  parts.add(defineSchedule(node, components));
}

function webhookOptions({ settings, identity, env, logger }: WorkNode): WebhookOptions {
  return {
    urls: settings.federationWebhookUrls,
    noticeUrls: settings.noticeWebhookUrls,
    secret: settings.federationWebhookSecret,
    previous: previousSecret(settings, 'federationWebhookSecretPrevious'),
    node: identity.peerId,
    env,
    warn: (message, fields) => logger.warn(fields, message),
  };
}

async function startHandlers(
  { settings, clock, env, fetch }: WorkNode,
  { notifications, jobs, keys, exchange }: WorkComponents,
  webhook: WebhookOptions,
): Promise<void> {
  const { queue } = jobs.face;
  const account = accountOf(settings);
  const sms = account && (await import('../jobs/sms.ts')).smsHandler(account, env);
  await queue.start({
    'federation-sync': syncHandler({ target: exchange.face.target, env, fetch }),
    'key-expiry': async () => ({ removed: await keys.face.keys.purgeExpired(clock.cautious()) }),
    notification: notificationHandler(notifications.face, queue, sms !== undefined),
    webhook: createWebhookHandler(webhook),
    ...(sms === undefined ? {} : { sms }),
  });
}

function defineSchedule(
  node: WorkNode,
  { jobs, exchange, audit, trends, cells, checkpoints }: WorkComponents,
) {
  return definePart('schedule', () => {
    const { settings, clock, env, logger } = node;
    const schedule = startSchedule({
      env,
      syncMinutes: settings.syncIntervalMinutes,
      syncAll: () => exchange.face.port.syncAll(),
      expireKeys: () => jobs.face.queue.add('key-expiry', {}, { key: 'key-expiry' }),
      signAudit: () => audit.face.audit.sign(),
      // Not with a date that cannot be: the next look is in an hour.
      publishTrends: async () => (clock.credible() ? trends.face.publisher.publishIfDue() : undefined),
      publishCells: async () => {
        if (!clock.credible()) return;
        const { week, outcome, cells: published } = await cells.face.look();
        if (outcome === 'closed')
          logger.info({ week, prices: published }, 'median prices of a week are published');
      },
      lookAtCheckpoints: async () => (clock.credible() ? checkpoints.face.look() : undefined),
      onFailure: (error) => logger.warn({ err: error }, 'a scheduled job could not be queued'),
    });
    return { face: undefined, stop: () => schedule.stop() };
  });
}
