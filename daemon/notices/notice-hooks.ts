import type { JsonObject } from '../../api/ports/jobs.ts';
import type { User } from '../../api/ports/users.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { NotificationRow } from '../../storage/notification-table.ts';
import type { PendingNotices } from '../../storage/pending-notices.ts';
import type { Later } from './follower.ts';
import { eventTypeOf, type Notice } from './notice.ts';

/** A notice that is still to be handed to the job queue, for one address. */
export interface NoticeHook {
  /** The job's id, and with it that of the delivery: the same however often it is handed over. */
  readonly job: string;
  readonly data: JsonObject;
}

/** The rows that have a new line posted to these addresses (`addressOf`), in the batch of the line. Nothing of a kind that the user has muted. */
export function hookRows(
  table: Pick<PendingNotices<Later, never>, 'later'>,
  addresses: readonly string[],
  {
    row,
    notice,
    user,
  }: { readonly row: NotificationRow; readonly notice: Notice; readonly user: User | undefined },
): BatchOp[] {
  if (user?.muted?.includes(notice.kind) === true) return [];
  return addresses.map((to) => {
    const { userId, notificationId: id, message, kind = '', about = {}, createdAt, language = '' } = row;
    const marks = {
      ...(row.unreviewed === true ? { unreviewed: true } : {}),
      ...(row.possibleRepeat === true ? { possibleRepeat: true } : {}),
    };
    const said = {
      userId,
      notificationId: id,
      message,
      kind,
      about: { ...about },
      language,
      createdAt,
      ...marks,
    };
    const event = { id, type: eventTypeOf(notice.kind), time: notice.at, data: said };
    const job = `${id.replace(/^note-/, 'job-')}-${to}`;
    return table.later(notice.at, job, { hook: { job, data: { of: 'notices', to, event } } });
  });
}
