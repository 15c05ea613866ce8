import type { User } from '../../api/ports/users.ts';
import { type Env, pause } from '../../protocols/env.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import type { SmsRow, SmsTable } from '../../storage/sms-table.ts';
import { WokenWork } from '../woken-work.ts';
import { SMS_LIMITS } from './limits.ts';
import { afterAsking, afterSending, type Outcome, type OutgoingSms, sendingSms, stepOf } from './outgoing.ts';
import { smsToken } from './sms-text.ts';
import type { Found, Sent, SmsProvider } from './twilio.ts';

export interface SmsSenderParts {
  readonly table: Pick<SmsTable<OutgoingSms, never>, 'due' | 'nextDue' | 'later'>;
  readonly lines: Pick<NotificationTable, 'setSms'>;
  /** One synced batch. */
  readonly batch: (ops: BatchOp[]) => Promise<void>;
  readonly provider: SmsProvider;
  readonly users: {
    find(id: string): User | undefined;
    /** Somebody takes no SMS any more. */
    optOut(id: string): Promise<void>;
  };
  /** The text of a summary for a user; undefined where there is nothing to tell any more. */
  readonly summaryText: (summary: OutgoingSms) => Promise<string | undefined>;
  readonly env: Pick<Env, 'now' | 'after'>;
  /** Fields name notices and codes; a number or a text never. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
  /** The provider refuses the credentials. */
  readonly onDenied: (status: number) => void;
}

/** "Attempt to send to unsubscribed recipient": the number has answered STOP. */
const STOPPED = 21610;
/** Between two tries of what the disk did not take. */
const RETRY_MS = 2000;

/**
 * Sends the SMS of notices, each at most once. That one is being sent is on disk before the request is made; one found in that
 * state, after a kill or a missing response, is looked up among the provider's messages before it is sent again, and ends as
 * `unknown` where the provider cannot be asked.
 */
export class SmsSender extends WokenWork {
  readonly #parts: SmsSenderParts;
  /** SMS being processed, by their notice. */
  readonly #busy = new Map<string, Promise<void>>();
  #deniedUntil = 0;

  constructor(parts: SmsSenderParts) {
    super(parts.env);
    this.#parts = parts;
  }

  /** Resolves when nothing that is due is waiting or in progress. */
  override async idle(): Promise<void> {
    await super.idle();
    while (this.#busy.size > 0) {
      await Promise.all(this.#busy.values());
      await super.idle();
    }
  }

  /** What is in progress is cut off; the next start looks up its outcome. */
  override async stop(): Promise<void> {
    await super.stop();
    await Promise.all(this.#busy.values());
  }

  protected override failed(err: unknown): void {
    this.#parts.warn('SMS wait', { err });
  }

  protected override async look(): Promise<void> {
    const { table, env } = this.#parts;
    if (env.now() < this.#deniedUntil) return this.sleep(this.#deniedUntil - env.now());
    const free = SMS_LIMITS.atOnce - this.#busy.size;
    if (free <= 0) return; // whoever ends wakes it
    // Those that are being worked on are among the first, or further on: as many more are read.
    const rows = await table.due(SMS_LIMITS.atOnce + this.#busy.size, env.now());
    const waiting = rows.filter((row) => !this.#busy.has(nameOf(row))).slice(0, free);
    for (const row of waiting) this.#begin(row);
    if (waiting.length > 0) return;
    const due = await table.nextDue();
    if (due !== undefined && this.#busy.size === 0) this.sleep(due - env.now());
  }

  #begin(row: SmsRow<OutgoingSms>): void {
    const name = nameOf(row);
    const work = this.#work(row)
      .catch(async (error: unknown) => {
        if (this.stopping.aborted) return;
        this.#parts.warn('an SMS is waiting to be sent', { err: error });
        await pause(this.#parts.env, RETRY_MS, this.stopping);
      })
      .finally(() => {
        this.#busy.delete(name);
        this.wake();
      });
    this.#busy.set(name, work);
  }

  async #work({ key, what: sms }: SmsRow<OutgoingSms>): Promise<void> {
    const { batch, users, env, warn } = this.#parts;
    const gone: BatchOp = { type: 'del', key };
    if (sms === undefined) {
      warn('an SMS is damaged and left out', { key });
      return batch([gone]);
    }
    const step = stepOf(sms, users.find(sms.userId), env.now());
    switch (step.do) {
      case 'wait':
        return this.#write(sms, gone, { next: sms, due: step.until });
      case 'end':
        return this.#write(sms, gone, { end: step.state });
      case 'send':
        return this.#send(sms, gone, step.to);
      case 'ask': {
        const found = await this.#ask(sms, step);
        return this.stopping.aborted ? undefined : this.#write(sms, gone, afterAsking(sms, found, env.now()));
      }
    }
  }

  async #send(queued: OutgoingSms, gone: BatchOp, to: string): Promise<void> {
    const { env, provider, table, lines, summaryText } = this.#parts;
    const body = queued.isSummary === true ? await summaryText(queued) : queued.body;
    if (body === undefined) return this.#write(queued, gone, { end: 'dropped' });
    const sms = sendingSms(queued, body, to, env.now());
    // Should this process end now, it is looked for when the request can no longer be under way.
    const row = table.later(env.now() + SMS_LIMITS.requestMs, sms.notificationId, sms);
    await lines.setSms(sms.userId, sms.notificationId, 'sending', [gone, row]);
    const sent = await provider.send({ to, body }, this.stopping);
    await this.#noteRefusal(sms, sent);
    if (this.stopping.aborted && sent.kind !== 'sent') return;
    await this.#write(sms, { type: 'del', key: row.key }, afterSending(sms, sent, env.now()));
  }

  #ask(sms: OutgoingSms, { to }: { readonly to: string }): Promise<Found> {
    const { provider } = this.#parts;
    const { maybeSince, notificationId } = sms;
    const wanted =
      maybeSince === undefined
        ? { to, body: sms.body, since: sms.at }
        : { to, body: smsToken(notificationId), since: maybeSince };
    return provider.find(wanted, this.stopping).then((found) => {
      if (found.kind === 'denied') this.#denied(found.status);
      return found;
    });
  }

  async #noteRefusal({ userId, notificationId }: OutgoingSms, sent: Sent): Promise<void> {
    if (sent.kind === 'denied') this.#denied(sent.status);
    if (sent.kind !== 'refused') return;
    const { warn, users } = this.#parts;
    if (sent.code === STOPPED) await users.optOut(userId);
    warn('an SMS was refused', { notice: notificationId, status: sent.status, code: sent.code });
  }

  #denied(status: number): void {
    const { env, onDenied } = this.#parts;
    this.#deniedUntil = env.now() + SMS_LIMITS.deniedMs;
    onDenied(status);
  }

  async #write(sms: OutgoingSms, gone: BatchOp, outcome: Outcome): Promise<void> {
    const { lines, table, warn } = this.#parts;
    const { userId, notificationId: id } = sms;
    if ('end' in outcome) {
      if (outcome.end === 'unknown') warn('it is unknown whether an SMS was sent', { notice: id });
      await lines.setSms(userId, id, outcome.end === 'dropped' ? undefined : outcome.end, [gone]);
      return;
    }
    const { next, due } = outcome;
    const row = table.later(due, id, next);
    const state = next.sending === undefined ? 'queued' : 'sending';
    await lines.setSms(userId, id, state, row.key === gone.key ? [row] : [gone, row]);
  }
}

/** What stays the same when its row moves. */
function nameOf({ key, what }: SmsRow<OutgoingSms>): string {
  return what?.notificationId ?? key;
}
