import type { User } from '../../api/ports/users.ts';
import type { Env } from '../../protocols/env.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { SmsTable } from '../../storage/sms-table.ts';
import type { Notice } from '../notices/notice.ts';
import type { PlannedSms, SmsLine, SmsPlan } from '../notices/notice-writer.ts';
import { textOf } from '../notices/texts.ts';
import { type AcceptLimit, type AnswerCodes, type CodeRow, mayAnswer } from './answer-codes.ts';
import { type Counted, counted, type DailyCount, type DailyLimits, nextSummary } from './daily-limits.ts';
import { maybeSent, type OutgoingSms } from './outgoing.ts';
import { quietUntil } from './quiet-hours.ts';
import { smsText, smsToken } from './sms-text.ts';

export interface SmsPlannerParts {
  readonly self: PeerId;
  readonly table: Pick<SmsTable<OutgoingSms, CodeRow, DailyCount>, 'later' | 'count' | 'putCount'>;
  readonly codes: Pick<AnswerCodes, 'issue'>;
  readonly users: { find(id: string): User | undefined };
  /** Up to which sums proposals may be answered by SMS. */
  readonly acceptLimits: readonly AcceptLimit[];
  readonly dailyLimits: DailyLimits;
  /** Whether a notice is of a deal of its user's. */
  readonly isOfDeal: (notice: Notice) => Promise<boolean>;
  readonly env: Pick<Env, 'now'>;
}

/**
 * Decides which new notices are sent as SMS, within the limits of a day. The counts are written in the batch of the notices and of
 * their SMS, so they are the same after a kill; whoever plans has to have that batch on disk before the next plan.
 */
export class SmsPlanner {
  readonly #parts: SmsPlannerParts;

  constructor(parts: SmsPlannerParts) {
    this.#parts = parts;
  }

  async plan(lines: readonly SmsLine[]): Promise<SmsPlan> {
    const { table } = this.#parts;
    const counts = new Map<string, DailyCount>();
    const planned: PlannedSms[] = [];
    const summaries: BatchOp[] = [];
    for (const line of lines) {
      const { userId } = line.row;
      const before = counts.get(userId) ?? (await table.count(userId));
      const { state, count } = await this.#counted(line.notice, before);
      const summary = state === 'queued' ? undefined : this.#summary(userId, count);
      counts.set(userId, summary === undefined ? count : { ...count, summaryAt: summary.at });
      if (summary !== undefined) summaries.push(summary.op);
      planned.push({ state, ops: state === 'queued' ? await this.#queued(line) : [] });
    }
    const ops = [...counts].map(([userId, count]) => table.putCount(userId, count));
    return { planned, ops: [...ops, ...summaries] };
  }

  /** An SMS that waits for the end of quiet hours counts on the day on which it is sent. */
  async #counted(notice: Notice, before: DailyCount | undefined): Promise<Counted> {
    const { self, users, dailyLimits, isOfDeal, env } = this.#parts;
    const { userId, causedBy } = notice;
    const now = env.now();
    const due = quietUntil(users.find(userId)?.quietHours, now) ?? now;
    const wanted = { due, otherNode: causedBy === self ? undefined : (causedBy ?? 'unknown') };
    const asOfStranger = counted(before, wanted, dailyLimits);
    if (asOfStranger.state !== 'node-limit' && asOfStranger.state !== 'stranger-limit') return asOfStranger;
    return (await isOfDeal(notice))
      ? counted(before, { ...wanted, isOfDeal: true }, dailyLimits)
      : asOfStranger;
  }

  #summary(userId: string, count: DailyCount): { readonly at: number; readonly op: BatchOp } | undefined {
    const { table, env } = this.#parts;
    const at = nextSummary(count, env.now());
    if (at === undefined) return undefined;
    const id = `summary-${at.toString(16)}-${userId}`;
    const summary: OutgoingSms = { userId, notificationId: id, isSummary: true, body: '', at, tries: 0 };
    return { at, op: table.later(at, id, summary) };
  }

  async #queued({ row: line, notice, language, isRepeat }: SmsLine): Promise<readonly BatchOp[]> {
    const { table, codes, users, acceptLimits } = this.#parts;
    const { userId, notificationId } = line;
    const user = users.find(userId);
    const { answer } = notice;
    const isAnswerable = user !== undefined && answer !== undefined && mayAnswer(answer, acceptLimits);
    const issued = isAnswerable ? await codes.issue(answer, user) : undefined;
    const tail = issued && textOf(language, 'sms.answer', { code: issued.code });
    const timeZone = user?.quietHours?.timeZone;
    const body = smsText({ language, ...notice, timeZone, tail, token: smsToken(notificationId) });
    const sms: OutgoingSms = { userId, notificationId, body, at: notice.at, tries: 0 };
    // An earlier one with a code is of no more use: that code is lost.
    const maybe = isRepeat && issued === undefined && user?.phone !== undefined;
    const row = maybe
      ? maybeSent({ ...sms, maybeSince: notice.signedAt }, user.phone, this.#parts.env.now())
      : sms;
    return [table.later(notice.at, notificationId, row), ...(issued?.ops ?? [])];
  }
}
