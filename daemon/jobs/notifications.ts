import {
  type Job,
  type JsonObject,
  type Notification,
  type NotificationsPort,
  OPERATOR_USER,
} from '../../api/ports/jobs.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import { textOf } from './job-queue.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

export interface NotificationParts {
  readonly table: NotificationTable;
  readonly env: Pick<Env, 'now' | 'bytes'>;
  /** The event log's. */
  readonly emit: (
    type: 'notification' | 'notification.read',
    data: JsonObject,
    audience: { readonly userId: string },
  ) => void;
}

export interface Notifications extends Omit<NotificationsPort, 'languages'> {
  /** Tells a user something; with `once`, only if no line of that id is there. Whether it was new. On disk when it resolves. */
  record(
    userId: string,
    message: string,
    options?: { readonly once?: string; readonly jobId?: string },
  ): Promise<boolean>;
  /** Progress and end of a sync, each reported to the operator once. */
  tellSync(job: Job, what: 'progress' | 'ended'): Promise<void>;
}

const MESSAGE_MAX = 1000;

/** Lines for users and the operator, in LevelDB, each also an event. */
export function createNotifications(parts: NotificationParts): Notifications {
  const { table, env, emit } = parts;

  const record: Notifications['record'] = async (userId, message, { once, jobId } = {}) => {
    const at = env.now();
    // Ids sort by time, as those of jobs do.
    const notificationId = once ?? `note-${at.toString(16).padStart(12, '0')}-${hex(env.bytes(6))}`;
    const row: Notification = {
      userId,
      notificationId,
      message: message.slice(0, MESSAGE_MAX).toWellFormed(),
      read: false,
      createdAt: isoTime(at),
      ...(jobId === undefined ? {} : { jobId }),
    };
    const added = await table.add(row);
    if (added) emit('notification', { ...row }, { userId });
    return added;
  };

  return {
    record,
    async tellSync(job, what) {
      if (job.name !== 'federation-sync') return;
      const source = textOf(job, 'source') ?? 'an unknown node';
      const id = job.id.replace(/^job-/, 'note-');
      await record(OPERATOR_USER, syncMessage(job, source, what), { once: `${id}-${what}`, jobId: job.id });
    },
    async list(userId, limit, cursor) {
      const { rows, ...rest } = await table.list(userId, limit, cursor);
      return { notifications: rows, ...rest };
    },
    async markRead(userId, notificationId) {
      const found = await table.markRead(userId, notificationId);
      if (found === undefined) throw new AgrinetError('not-found', 'there is no such notification');
      if (found.changed) emit('notification.read', { userId, notificationId }, { userId });
      return found.row;
    },
  };
}

function syncMessage(job: Job, source: string, what: 'progress' | 'ended'): string {
  if (what === 'progress') return `Sync with ${source} is under way`;
  if (job.state === 'dead')
    return `Sync with ${source} failed after ${job.attempts} attempts: ${job.error?.message ?? 'unknown reason'}`;
  const counts = ['received', 'imported', 'unchanged', 'refused'].flatMap((name) => {
    const value = job.result?.[name];
    return typeof value === 'number' ? [`${value} ${name}`] : [];
  });
  return `Sync with ${source} is done${counts.length === 0 ? '' : `: ${counts.join(', ')}`}`;
}
