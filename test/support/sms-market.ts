import type { User } from '../../api/ports/users.ts';
import { NoticeWriter } from '../../daemon/notices/notice-writer.ts';
import type { Notice } from '../../daemon/notices/notice.ts';
import { readTexts } from '../../daemon/notices/texts.ts';
import { AnswerCodes, type CodeRow } from '../../daemon/sms/answer-codes.ts';
import type { DailyCount, DailyLimits } from '../../daemon/sms/daily-limits.ts';
import type { OutgoingSms } from '../../daemon/sms/outgoing.ts';
import { SmsPlanner } from '../../daemon/sms/sms-planner.ts';
import { SmsSender } from '../../daemon/sms/sms-sender.ts';
import { summaryText } from '../../daemon/sms/summary.ts';
import type { Found, Sent } from '../../daemon/sms/twilio.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { openNotificationTable } from '../../storage/notification-table.ts';
import { alreadyNotified } from '../../storage/pending-notices.ts';
import { SmsTable } from '../../storage/sms-table.ts';
import { tempDir } from './temp-dir.ts';
import { nodeOf } from './vectors/signatures.ts';

/** The node whose users are told, and others. */
export const HERE = nodeOf(1).peerId;
export const ABROAD = [2, 3, 4].map((n) => nodeOf(n).peerId);

/** Notices of users and their SMS over a database on disk, under a clock that only the test moves, and a provider that does as it is told. */
export async function smsMarket(users: User[], dailyLimits: DailyLimits, partners: readonly string[] = []) {
  const dir = tempDir('sms-market');
  const clock = { now: 20_000 * 86_400_000 };
  const env = { ...systemEnv, now: () => clock.now, after: () => ({ cancel: () => undefined }) };
  const provider: {
    sent: () => Sent;
    found: (message: { readonly to: string; readonly body: string; readonly since: number }) => Found;
    readonly sends: string[];
  } = {
    sent: () => ({ kind: 'sent', id: 'SM1' }),
    found: () => ({ kind: 'absent' }),
    sends: [],
  };
  const languages = await readTexts();
  const find = (id: string): User | undefined => users.find((user) => user.id === id);
  /** Types of the events that went out, and ids of the lines that were posted. */
  const events: string[] = [];
  const posted: string[] = [];
  /** What ends the process before a batch, and when data were lost. */
  const state: { cut: boolean; lostAt?: number } = { cut: false };

  async function open() {
    const db = await Database.open(dir.path, systemEnv);
    const lines = openNotificationTable(db);
    const table = new SmsTable<OutgoingSms, CodeRow, DailyCount>(db);
    const planner = new SmsPlanner({
      self: HERE,
      table,
      codes: new AnswerCodes(table, env),
      users: { find },
      acceptLimits: [{ sum: 5000, currency: 'KES' }],
      dailyLimits,
      isOfDeal: async ({ about }) => partners.includes(about['from'] ?? ''),
      env,
    });
    const writer = new NoticeWriter({
      table: lines,
      alreadyNotified: (hashes) => alreadyNotified(db, hashes),
      lostAt: async () => state.lostAt,
      async keep(told, write) {
        await write([]);
        events.push(...told.map(({ type }) => type));
      },
      async batch(ops) {
        if (state.cut) throw new Error('cut off');
        await db.batch(ops, true);
      },
      languages,
      users: { find, isUser: (id) => find(id) !== undefined },
      deliver({ notificationId }) {
        posted.push(notificationId);
        return [];
      },
      sms: {
        wants: (_, user) => user?.phone !== undefined && user.sms !== false,
        plan: (wanted) => planner.plan(wanted),
      },
      onWork: () => undefined,
    });
    const sender = new SmsSender({
      table,
      lines,
      batch: (ops) => db.batch(ops, true),
      provider: {
        send: async ({ to, body }) => {
          provider.sends.push(`${to} ${body}`);
          return provider.sent();
        },
        find: async (message) => provider.found(message),
      },
      users: { find, optOut: async () => undefined },
      summaryText: (summary) =>
        summaryText(
          {
            lines,
            users: { find },
            languages: async () => languages,
            noticesAt: 'https://coop.example/notifications',
          },
          summary,
        ),
      env,
      warn: () => undefined,
      onDenied: () => undefined,
    });
    return { db, lines, table, writer, sender };
  }
  let running = await open();
  const close = async (): Promise<void> => {
    await running.sender.stop();
    await running.db.close();
  };
  return {
    clock,
    provider,
    state,
    events,
    posted,
    write: (notices: readonly Notice[]) => running.writer.write(notices),
    codes: async (userId: string) => (await running.table.codes(userId)).length,
    /** Sends what is due. */
    async send() {
      running.sender.wake();
      await running.sender.idle();
    },
    waiting: async () => (await running.table.due(1000, clock.now + 2 ** 40)).length,
    lines: async (userId: string) => (await running.lines.list(userId, 1000)).rows,
    markRead: (userId: string, id: string) => running.lines.markRead(userId, id),
    /** As another process after a kill. */
    async restart() {
      await close();
      running = await open();
    },
    async close() {
      await close();
      dir.remove();
    },
  };
}

export type SmsMarket = Awaited<ReturnType<typeof smsMarket>>;
