import type { Env } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { PendingNotice, PendingChange, PendingNotices } from '../../storage/pending-notices.ts';
import { WokenWork } from '../woken-work.ts';
import type { NoticeHook } from './notice-hooks.ts';
import type { Notice } from './notice.ts';
import type { NoticeWriter } from './notice-writer.ts';
import { dueOf, type NoticesOf, type Offer, type RecordNotices } from './record-notices.ts';
import { type WaitingRow, WaitingSteps } from './waiting-steps.ts';

/** Notices due later. */
export type Later = { readonly offer: Offer } | { readonly hook: NoticeHook };

export interface FollowerParts {
  readonly table: PendingNotices<Later, WaitingRow>;
  /** For what is notified in one batch: it reads each contract once. */
  readonly records: () => Pick<RecordNotices, 'of' | 'ofOffer'>;
  readonly writer: Pick<NoticeWriter, 'write'>;
  /** Hands a webhook to the job queue; the same one again changes nothing. */
  readonly handOver: (hook: NoticeHook) => Promise<unknown>;
  readonly env: Pick<Env, 'now' | 'after'>;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

type Records = Pick<RecordNotices, 'of' | 'ofOffer'>;

/** The notices to write, and what is written with them. */
interface Read {
  readonly notices: readonly Notice[];
  readonly ops: readonly BatchOp[];
}
const NOTHING: Read = { notices: [], ops: [] };

/** Rows processed in one batch. */
const AT_ONCE = 64;
/** Until a webhook that the job queue did not take is handed over again. */
const RETRY_MS = 2000;

/**
 * Writes the notices for what commits have left, and those that are due: the rows are deleted in the batch of their notices, so each
 * is written once, whatever ends the process in between.
 */
export class Follower extends WokenWork {
  readonly #parts: FollowerParts;
  /** How often each row could not be read into a notice. */
  readonly #failed = new Map<string, number>();
  readonly #waiting: WaitingSteps;
  /** Whether `#waiting` is as the disk has it. */
  #isRead = false;

  constructor(parts: FollowerParts) {
    super(parts.env);
    this.#parts = parts;
    this.#waiting = new WaitingSteps(parts.table, parts.env);
  }

  protected override failed(err: unknown): void {
    this.#parts.warn('notices are delayed', { err });
  }

  protected override async look(): Promise<void> {
    const { table, env } = this.#parts;
    try {
      if (!this.#isRead) await this.#readWaiting();
      while (!this.stopping.aborted) {
        const rows = await table.first(AT_ONCE, env.now());
        // One contract at a time: however many wait, no new row waits for more than one of them.
        const waiting = this.#waiting.due();
        if (rows.length === 0 && waiting === undefined) break;
        await this.#tell(rows, waiting);
      }
    } catch (error) {
      this.#isRead = false;
      throw error;
    }
    const due = [await table.nextDue(), this.#waiting.nextDue()].filter((each) => each !== undefined);
    if (due.length > 0) this.sleep(Math.min(...due) - env.now());
  }

  async #readWaiting(): Promise<void> {
    for (const name of await this.#waiting.read())
      this.#parts.warn('pending notices of contract steps are damaged and left out', { contract: name });
    this.#isRead = true;
  }

  async #tell(
    rows: readonly PendingNotice<Later>[],
    waiting: { readonly contract: RecordKey; readonly steps: readonly PendingChange[] } | undefined,
  ): Promise<void> {
    const records = this.#parts.records();
    const notices: Notice[] = [];
    const beside: BatchOp[] = [];
    for (const row of rows) {
      const told = await this.#read(row, records);
      beside.push({ type: 'del', key: row.key }, ...told.ops);
      notices.push(...told.notices);
    }
    if (waiting !== undefined) {
      const told = await this.#readAgain(waiting, records);
      beside.push(...told.ops);
      notices.push(...told.notices);
    }
    await this.#parts.writer.write(notices, () => beside);
    for (const { key } of rows) this.#failed.delete(key);
  }

  async #read({ key, what }: PendingNotice<Later>, records: Records): Promise<Read> {
    if (what !== undefined) return this.#readOrPass(key, () => this.#notices(what, records));
    this.#parts.warn('a pending notice is damaged and left out', { key });
    return NOTHING;
  }

  /** The result of reading a row. What cannot be read after several attempts is skipped, and named in the log. */
  async #readOrPass(key: string, read: () => Promise<Read>): Promise<Read> {
    try {
      return await read();
    } catch (error) {
      const tries = (this.#failed.get(key) ?? 0) + 1;
      this.#failed.set(key, tries);
      if (errorCode(error) !== 'value-damaged' && tries < 5) throw error;
      this.#parts.warn('a notice could not be written', { err: error, key });
      return NOTHING;
    }
  }

  async #notices(what: NonNullable<PendingNotice<Later>['what']>, records: Records): Promise<Read> {
    if ('change' in what) return this.#ofChange(what.change, records);
    if ('hook' in what.later) return { notices: [], ops: await this.#handOver(what.later.hook) };
    const { notices } = await records.ofOffer(what.later.offer, this.#parts.env.now());
    return { notices, ops: [] };
  }

  async #ofChange(change: PendingChange, records: Records): Promise<Read> {
    const told = await records.of(change.record, change.at);
    if (told.waitsIn !== undefined) return { notices: [], ops: this.#waiting.add(told.waitsIn, change) };
    if (told.movedOn !== undefined) this.#waiting.wake(told.movedOn);
    return { notices: told.notices, ops: this.#offerOps(told) };
  }

  /** Checks the waiting steps of a contract again. */
  async #readAgain(
    { contract, steps }: { readonly contract: RecordKey; readonly steps: readonly PendingChange[] },
    records: Records,
  ): Promise<Read> {
    const notices: Notice[] = [];
    const ops: BatchOp[] = [];
    const waiting = new Set<RecordKey>();
    for (const { record, at } of steps) {
      const read = await this.#readOrPass(record, async () => {
        const told = await records.of(record, at);
        if (told.waitsIn !== undefined) waiting.add(record);
        return { notices: told.notices, ops: this.#offerOps(told) };
      });
      notices.push(...read.notices);
      ops.push(...read.ops);
      this.#failed.delete(record);
    }
    return { notices, ops: [...ops, ...this.#waiting.looked(contract, waiting)] };
  }

  /** What the queue does not accept now is passed to it later. */
  async #handOver(hook: NoticeHook): Promise<BatchOp[]> {
    const { table, env, handOver, warn } = this.#parts;
    try {
      await handOver(hook);
      return [];
    } catch (error) {
      warn('the webhook of a notice was not queued yet', { err: error, job: hook.job });
      return [table.later(env.now() + RETRY_MS, hook.job, { hook })];
    }
  }

  #offerOps({ offer }: NoticesOf): BatchOp[] {
    if (offer === undefined) return [];
    return [this.#parts.table.later(dueOf(offer), offer.proposal, { offer })];
  }
}
