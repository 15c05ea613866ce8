import { OPERATOR_USER } from '../../api/ports/jobs.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type JobHandler, type JobQueue, textOf } from './job-queue.ts';
import type { Notifications } from './notifications.ts';

/**
 * The handler of `notification` jobs: `{message, userId?, phone?}` becomes a line in the table, and an SMS when it has a phone number and
 * SMS are set up. Ids are made from the job's, so that a second run after a crash adds nothing.
 */
export function notificationHandler(
  notifications: Pick<Notifications, 'record'>,
  queue: Pick<JobQueue, 'add'>,
  smsEnabled: boolean,
): JobHandler {
  return async (job) => {
    const message = textOf(job, 'message');
    if (message === undefined)
      throw new AgrinetError('notification-malformed', 'a notification needs a message');
    const userId = textOf(job, 'userId') ?? OPERATOR_USER;
    await notifications.record(userId, message, { once: job.id, jobId: job.id });
    const phone = textOf(job, 'phone');
    if (phone === undefined || !smsEnabled) return { userId };
    const sms = await queue.add('sms', { phone, message }, { id: `${job.id}-sms` });
    return { userId, sms: sms.id };
  };
}
