import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Env } from '../../protocols/env.ts';
import { alreadyNotified, PendingNotices } from '../../storage/pending-notices.ts';
import type { Database } from '../../storage/database.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import { lostAt } from '../../storage/rejoin-note.ts';
import type { EventLogs } from '../events/event-logs.ts';
import { addressOf } from '../events/webhooks.ts';
import type { Started } from '../parts.ts';
import type { Directory } from '../users/directory.ts';
import { Follower, type FollowerParts, type Later } from './follower.ts';
import type { Notice } from './notice.ts';
import { hookRows } from './notice-hooks.ts';
import { type Beside, NoticeWriter, type SmsNotices } from './notice-writer.ts';
import { RecordNotices, type RecordNoticesParts } from './record-notices.ts';
import { type Language, readTexts } from './texts.ts';
import type { WaitingRow } from './waiting-steps.ts';

/** Tells this node's users what concerns them. */
export interface Notices {
  /**
   * Notifies users: for each notice one line in `GET /notifications` and one event, on disk when it resolves, in one batch with
   * what `beside` gives. Repeating the same event for the same user never has an effect. Returns those that were new.
   */
  raise(notices: readonly Notice[], beside?: Beside): Promise<readonly Notice[]>;
  /** There may be notices to write: called after each commit. */
  wake(): void;
  /** Resolves when all that are due have been written. */
  idle(): Promise<void>;
  readonly languages: readonly Language[];
}

export interface NoticesParts extends Omit<RecordNoticesParts, 'nameOf'>, Pick<FollowerParts, 'handOver'> {
  /** URLs that notices are posted to. */
  readonly hooks: readonly string[];
  readonly self: PeerId;
  readonly db: Database;
  readonly table: NotificationTable;
  readonly events: Pick<EventLogs, 'keep'>;
  readonly users: Pick<Directory, 'find' | 'isUser'>;
  /** Undefined where no SMS are sent. */
  readonly sms: (SmsNotices & { wake(): void }) | undefined;
  readonly env: Pick<Env, 'now' | 'after'>;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Starts, with the notices left by the last process. */
export async function startNotices(parts: NoticesParts): Promise<Started<Notices>> {
  const { db, events, users, env, warn, handOver, hooks, table, sms } = parts;
  const pendingNotices = new PendingNotices<Later, WaitingRow>(db);
  const addresses = [...new Set(hooks.map(addressOf))];
  const languages = await readTexts();
  const writer = new NoticeWriter({
    table,
    alreadyNotified: (hashes) => alreadyNotified(db, hashes),
    lostAt: () => lostAt(db, env.now()),
    keep: (drafts, write) => events.keep(drafts, write),
    batch: (ops) => db.batch(ops, true),
    languages,
    users,
    deliver: (row, notice, user) => hookRows(pendingNotices, addresses, { row, notice, user }),
    sms,
    onWork: () => {
      follower.wake();
      sms?.wake();
    },
  });
  const follower = new Follower({
    table: pendingNotices,
    handOver,
    records: () => new RecordNotices({ ...parts, nameOf: (userId) => users.find(userId)?.displayName }),
    writer,
    env,
    warn,
  });
  follower.wake();
  return {
    face: {
      raise: (notices, beside) => writer.write(notices, beside),
      wake: () => follower.wake(),
      idle: () => follower.idle(),
      languages: [...languages.values()],
    },
    stop: () => follower.stop(),
  };
}
