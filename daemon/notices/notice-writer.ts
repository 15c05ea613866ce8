import { createHash } from 'node:crypto';
import type { SmsState, User } from '../../api/ports/users.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { NotificationRow, NotificationTable } from '../../storage/notification-table.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { notifiedRow } from '../../storage/pending-notices.ts';
import type { NewEvent } from '../events/event-log.ts';
import { eventTypeOf, type Notice } from './notice.ts';
import { type Language, languageFor, textOf } from './texts.ts';

/** How lines go out as SMS. */
export interface SmsNotices {
  /** Whether the user takes this one as SMS. */
  wants(notice: Notice, user: User | undefined): boolean;
  /** Which of these lines are sent; what was planned is on disk before the next call. */
  plan(lines: readonly SmsLine[]): Promise<SmsPlan>;
}

/** A new line that its user takes as SMS. */
export interface SmsLine {
  readonly row: NotificationRow;
  readonly notice: Notice;
  readonly language: Language;
  /** The user may have been sent it before a loss of this node's data. */
  readonly isRepeat: boolean;
}

/** The state of the SMS of a line, and what is written with the line so that it is sent. */
export interface PlannedSms {
  readonly state: SmsState;
  readonly ops: readonly BatchOp[];
}

/** In the order of the lines; `ops` are written with all of them. */
export interface SmsPlan {
  readonly planned: readonly PlannedSms[];
  readonly ops: readonly BatchOp[];
}

/** A line to add, and what is written with it. */
interface Line extends SmsLine {
  readonly hash: string;
  readonly wantsSms: boolean;
  readonly type: string;
  readonly ops: readonly BatchOp[];
}

/** What is written in the batch of notices, given those that are new. */
export type Beside = (fresh: readonly Notice[]) => readonly BatchOp[];

export interface NoticeWriterParts {
  readonly table: Pick<NotificationTable, 'addAll'>;
  /** Which of these hashes of an event and a user were notified before. */
  readonly alreadyNotified: (hashes: readonly string[]) => Promise<ReadonlySet<string>>;
  /** When this node last lost data, by a restore or otherwise, milliseconds since 1970; undefined for never. */
  readonly lostAt: () => Promise<number | undefined>;
  /** The event log's: numbers events in the batch that `write` makes. */
  readonly keep: (events: readonly NewEvent[], write: (rows: BatchOp[]) => Promise<void>) => Promise<void>;
  /** One synced batch. */
  readonly batch: (ops: BatchOp[]) => Promise<void>;
  readonly languages: ReadonlyMap<string, Language>;
  readonly users: { find(id: string): User | undefined; isUser(id: string): boolean };
  /** What is written with a new line so that it is posted. */
  readonly deliver: (row: NotificationRow, notice: Notice, user: User | undefined) => readonly BatchOp[];
  /** Sends lines as SMS; undefined where none is sent. */
  readonly sms: SmsNotices | undefined;
  /** Something was written that becomes due at once. */
  readonly onWork: () => void;
}

/**
 * Writes notices: one line and one numbered event for each event and user, in one batch with their cause and a row that records that
 * it was notified: old lines are deleted, and the same step can arrive in more than one record.
 *
 * What is older than a loss of data comes again from other nodes, and whether its user was told of it is lost as well. Its line is written,
 * as the list has lost it too, and is marked; its SMS is looked for at the provider before it is sent. An answer may be waited for, so events and
 * webhooks go out again, marked; but not for a match of a saved search, where nobody waits.
 */
export class NoticeWriter {
  readonly #parts: NoticeWriterParts;
  readonly #queue = new SerialQueue();

  constructor(parts: NoticeWriterParts) {
    this.#parts = parts;
  }

  /**
   * On disk when it resolves, including what is to be written beside those that are new, which it returns. Notices for anybody who
   * is not a user of this node are left out.
   */
  write(notices: readonly Notice[], beside: Beside = () => []): Promise<readonly Notice[]> {
    return this.#queue.run(async () => {
      const fresh = await this.#notYetSent(notices);
      const plan = await this.#planned(fresh);
      const lines = new Map(plan.lines.map((line) => [nameOf(line.row), line]));
      const { table, keep, batch } = this.#parts;
      await table.addAll(
        [...lines.values()].map(({ row }) => row),
        async (added, ops) => {
          const told = added.flatMap((row) => lines.get(nameOf(row)) ?? []);
          const events = told.filter(isTold).map(({ row, type }): NewEvent => {
            const { userId } = row;
            return { type, data: dataOf(row), audience: { userId, partyOnly: true } };
          });
          const all = [
            ...ops,
            ...told.flatMap((line) => line.ops),
            ...plan.ops,
            ...beside(fresh.map(({ notice }) => notice)),
          ];
          if (events.length > 0) await keep(events, (eventRows) => batch([...all, ...eventRows]));
          else if (all.length > 0) await batch(all);
        },
      );
      if (lines.size > 0) this.#parts.onWork();
      return [...lines.values()].map(({ notice }) => notice);
    });
  }

  /** The lines with the state of their SMS. */
  async #planned(
    lines: readonly Line[],
  ): Promise<{ readonly lines: readonly Line[]; readonly ops: readonly BatchOp[] }> {
    const wanted = lines.filter(({ wantsSms }) => wantsSms);
    const { sms } = this.#parts;
    if (sms === undefined || wanted.length === 0) return { lines, ops: [] };
    const { planned, ops } = await sms.plan(wanted);
    const byHash = new Map(wanted.map(({ hash }, i) => [hash, planned[i]]));
    const withSms = lines.map((line) => {
      const plan = byHash.get(line.hash);
      if (plan === undefined) return line;
      return { ...line, row: { ...line.row, sms: plan.state }, ops: [...line.ops, ...plan.ops] };
    });
    return { lines: withSms, ops };
  }

  /** Each that was not notified before. */
  async #notYetSent(notices: readonly Notice[]): Promise<readonly Line[]> {
    const lines = new Map<string, Line>();
    const lostAt = (notices.length > 0 ? await this.#parts.lostAt() : undefined) ?? -Infinity;
    for (const notice of notices) {
      if (!this.#parts.users.isUser(notice.userId)) continue;
      const line = this.#line(notice, notice.signedAt <= lostAt);
      if (!lines.has(line.hash)) lines.set(line.hash, line);
    }
    const told = await this.#parts.alreadyNotified([...lines.keys()]);
    return [...lines.values()].filter(({ hash }) => !told.has(hash));
  }

  #line(notice: Notice, isRepeat: boolean): Line {
    const { languages, users, deliver, sms } = this.#parts;
    const user = users.find(notice.userId);
    const language = languageFor(languages, user?.language);
    const hash = hashOf(notice);
    const row: NotificationRow = {
      userId: notice.userId,
      notificationId: noticeId(notice.at, hash),
      message: textOf(language, notice.text, notice.values, user?.quietHours?.timeZone),
      read: false,
      createdAt: isoTime(notice.at),
      kind: notice.kind,
      about: notice.about,
      language: language.tag,
      ...(isRepeat ? { possibleRepeat: true } : {}),
      ...(language.reviewed ? {} : { unreviewed: true }),
    };
    const line = { hash, row, notice, language, isRepeat, type: eventTypeOf(notice.kind) };
    return {
      ...line,
      wantsSms: sms?.wants(notice, user) === true,
      ops: [...(isTold(line) ? deliver(row, notice, user) : []), notifiedRow(hash, notice.at)],
    };
  }
}

/** Whether a line goes out by events and webhooks. */
function isTold({ isRepeat, notice }: Pick<Line, 'isRepeat' | 'notice'>): boolean {
  return !isRepeat || notice.kind !== 'want';
}

const nameOf = ({ userId, notificationId }: NotificationRow): string => `${userId}/${notificationId}`;

function hashOf({ event, userId }: Notice): string {
  return createHash('sha256').update(`${event}\0${userId}`).digest('hex').slice(0, 32);
}

/** Sorts by arrival, like the ids of all lines. */
function noticeId(at: number, hash: string): string {
  return `note-${Math.max(0, at).toString(16).padStart(12, '0')}-${hash}`;
}

function dataOf({ about, ...row }: NotificationRow): NewEvent['data'] {
  const rest = Object.entries(row).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(rest), ...(about === undefined ? {} : { about: { ...about } }) };
}
