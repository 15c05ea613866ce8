import type { User } from '../../api/ports/users.ts';
import type { Env } from '../../protocols/env.ts';
import type { Database } from '../../storage/database.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import { lostAt } from '../../storage/rejoin-note.ts';
import { SmsTable } from '../../storage/sms-table.ts';
import type { Notice } from '../notices/notice.ts';
import type { SmsNotices } from '../notices/notice-writer.ts';
import type { Language } from '../notices/texts.ts';
import type { Started } from '../parts.ts';
import type { Directory } from '../users/directory.ts';
import { type AcceptLimit, AnswerCodes, type CodeRow } from './answer-codes.ts';
import type { DailyCount, DailyLimits } from './daily-limits.ts';
import { type DealsParts, isOfDeal } from './deals.ts';
import { maybeSent, type OutgoingSms } from './outgoing.ts';
import { SmsPlanner } from './sms-planner.ts';
import { summaryText } from './summary.ts';
import { SmsSender, type SmsSenderParts } from './sms-sender.ts';
import type { TwilioAccount } from './account.ts';
import { Twilio } from './twilio.ts';

/** Sends notices as SMS. */
export interface Sms extends SmsNotices {
  /** There may be something to send. */
  wake(): void;
}

export interface SmsParts extends Pick<SmsSenderParts, 'warn' | 'onDenied'>, DealsParts {
  readonly account: TwilioAccount;
  /** Up to which sums proposals may be answered by SMS. */
  readonly acceptLimits: readonly AcceptLimit[];
  readonly dailyLimits: DailyLimits;
  /** Where users find their notices. */
  readonly noticesAt: string;
  readonly languages: () => Promise<ReadonlyMap<string, Language>>;
  readonly db: Database;
  readonly lines: Pick<NotificationTable, 'setSms' | 'count'>;
  readonly users: Pick<Directory, 'find' | 'change' | 'byPhone'>;
  readonly env: Pick<Env, 'now' | 'after' | 'deadline' | 'bytes'>;
}

/** Starts sending, with what the last process left to be sent. */
export async function startSms(parts: SmsParts): Promise<Started<Sms>> {
  const { account, db, lines, users, env, warn, onDenied } = parts;
  const table = new SmsTable<OutgoingSms, CodeRow, DailyCount>(db);
  await doubtOlder(parts, table);
  const planner = new SmsPlanner({
    ...parts,
    table,
    codes: new AnswerCodes(table, env),
    isOfDeal: (notice) => isOfDeal(parts, notice),
  });
  const sender = new SmsSender({
    table,
    lines,
    batch: (ops) => db.batch(ops, true),
    provider: new Twilio(account, env),
    users: { find: (id) => users.find(id), optOut: (id) => optOut(users, id) },
    summaryText: (summary) => summaryText(parts, summary),
    env,
    warn,
    onDenied,
  });
  sender.wake();
  return {
    face: {
      wants: wantsSms,
      plan: (lines) => planner.plan(lines),
      wake: () => sender.wake(),
    },
    stop: () => sender.stop(),
  };
}

/** Those that waited when the data were lost, or the backup was made, may have been sent since. */
async function doubtOlder(
  { db, users, env }: SmsParts,
  table: SmsTable<OutgoingSms, CodeRow, DailyCount>,
): Promise<void> {
  const now = env.now();
  const lost = await lostAt(db, now);
  if (lost === undefined) return;
  const ops = (await table.waiting()).flatMap(({ key, what: sms }) => {
    const to = users.find(sms?.userId ?? '')?.phone;
    // A summary has no words before it is sent, and two of them do no harm.
    const isKnown = sms === undefined || to === undefined || sms.isSummary === true || sms.at > lost;
    return isKnown || sms.sending !== undefined ? [] : [table.put(key, maybeSent(sms, to, now))];
  });
  if (ops.length > 0) await db.batch(ops, true);
}

function wantsSms({ kind }: Notice, user: User | undefined): boolean {
  return user?.phone !== undefined && user.sms !== false && user.muted?.includes(kind) !== true;
}

/** The number has answered STOP, whichever of its users did so. */
async function optOut(users: SmsParts['users'], userId: string): Promise<void> {
  const phone = users.find(userId)?.phone;
  for (const { id } of phone === undefined ? [] : users.byPhone(phone))
    await users.change(id, { sms: false });
}
