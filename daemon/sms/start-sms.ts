import type { User } from '../../api/ports/users.ts';
import type { Env } from '../../protocols/env.ts';
import type { Database } from '../../storage/database.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { NotificationRow, NotificationTable } from '../../storage/notification-table.ts';
import { SmsTable } from '../../storage/sms-table.ts';
import type { Notice } from '../notices/notice.ts';
import type { SmsNotices } from '../notices/notice-writer.ts';
import type { Language } from '../notices/texts.ts';
import type { Started } from '../parts.ts';
import type { Directory } from '../users/directory.ts';
import type { OutgoingSms } from './outgoing.ts';
import { smsText, smsToken } from './sms-text.ts';
import { SmsSender, type SmsSenderParts } from './sms-sender.ts';
import type { TwilioAccount } from './account.ts';
import { Twilio } from './twilio.ts';

/** Sends notices as SMS. */
export interface Sms extends SmsNotices {
  /** There may be something to send. */
  wake(): void;
}

export interface SmsParts extends Pick<SmsSenderParts, 'warn' | 'onDenied'> {
  readonly account: TwilioAccount;
  readonly db: Database;
  readonly lines: Pick<NotificationTable, 'setSms'>;
  readonly users: Pick<Directory, 'find' | 'change' | 'byPhone'>;
  readonly env: Pick<Env, 'now' | 'after' | 'deadline'>;
}

/** Starts sending, with what the last process left to be sent. */
export function startSms(parts: SmsParts): Started<Sms> {
  const { account, db, lines, users, env, warn, onDenied } = parts;
  const table = new SmsTable<OutgoingSms, never>(db);
  const sender = new SmsSender({
    table,
    lines,
    batch: (ops) => db.batch(ops, true),
    provider: new Twilio(account, env),
    users: { find: (id) => users.find(id), optOut: (id) => optOut(users, id) },
    env,
    warn,
    onDenied,
  });
  sender.wake();
  return {
    face: {
      wants: wantsSms,
      rows: async (row, notice, language) => [
        queued(table, row, notice, { language, user: users.find(row.userId) }),
      ],
      wake: () => sender.wake(),
    },
    stop: () => sender.stop(),
  };
}

function wantsSms({ kind }: Notice, user: User | undefined): boolean {
  return user?.phone !== undefined && user.sms !== false && user.muted?.includes(kind) !== true;
}

function queued(
  table: Pick<SmsTable<OutgoingSms, never>, 'later'>,
  { userId, notificationId }: NotificationRow,
  { text, values, at }: Notice,
  { language, user }: { readonly language: Language; readonly user: User | undefined },
): BatchOp {
  const token = smsToken(notificationId);
  const body = smsText({ language, text, values, timeZone: user?.quietHours?.timeZone, token });
  return table.later(at, notificationId, { userId, notificationId, body, at, tries: 0 });
}

/** The number has answered STOP, whoever of those who are reached at it did so. */
async function optOut(users: SmsParts['users'], userId: string): Promise<void> {
  const phone = users.find(userId)?.phone;
  for (const { id } of phone === undefined ? [] : users.byPhone(phone))
    await users.change(id, { sms: false });
}
