import type { Env, Timer } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { Untold, UntoldTable } from '../../storage/untold.ts';
import type { NoticeHook } from './notice-hooks.ts';
import type { Notice } from './notice.ts';
import type { NoticeWriter } from './notice-writer.ts';
import type { Offer, RecordNotices, Told } from './record-notices.ts';

/** What becomes due later. */
export type Later =
  | { readonly offer: Offer }
  | { readonly hook: NoticeHook }
  /** A step that waits for another before it counts. */
  | { readonly again: { readonly record: RecordKey; readonly at: number; readonly tries: number } };

export interface FollowerParts {
  readonly table: UntoldTable<Later>;
  readonly records: Pick<RecordNotices, 'of' | 'ofOffer'>;
  readonly writer: Pick<NoticeWriter, 'write'>;
  /** Hands a webhook to the job queue; the same one again changes nothing. */
  readonly handOver: (hook: NoticeHook) => Promise<unknown>;
  readonly env: Pick<Env, 'now' | 'after'>;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Rows that are told in one batch. */
const AT_ONCE = 64;
/** Between two looks at what could not be told: a disk that fails is opened again within that time. */
const RETRY_MS = 2000;
/** A clock that was set meanwhile is noticed after so long. */
const LONGEST_SLEEP_MS = 30_000;
/** Between two looks at a step that waits for what it follows. */
const WAIT_MS = 10_000;
/** What it follows comes within the hour, or is not told. */
const WAITS = 360;
/** An offer is told to end a day before, or when a quarter of its time is left. */
const BEFORE_MS = 24 * 3600 * 1000;

/**
 * Tells what commits have left to be told, and what is due: the rows go in the batch that tells. So each is told once, whatever ends the
 * process in between.
 */
export class Follower {
  readonly #parts: FollowerParts;
  /** How often each row could not be read into a notice. */
  readonly #failed = new Map<string, number>();
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #timer: Timer | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** There may be something to tell. Never throws. */
  wake(): void {
    this.#again = true;
    if (this.#stopped || this.#running !== undefined) return;
    this.#timer?.cancel();
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!this.#stopped) this.#parts.warn('notices wait', { err: error });
        this.#sleep(RETRY_MS);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again) this.wake();
      });
  }

  /** Resolves when nothing is left that is due. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#again = false;
    this.#timer?.cancel();
    await this.#running;
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    const { table, env } = this.#parts;
    while (!this.#stopped) {
      this.#again = false;
      const rows = await table.first(AT_ONCE, env.now());
      if (rows.length === 0) break;
      await this.#tell(rows);
    }
    const due = await table.nextDue();
    if (due !== undefined) this.#sleep(due - env.now());
  }

  #sleep(ms: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    this.#timer = this.#parts.env.after(Math.min(Math.max(ms, 1), LONGEST_SLEEP_MS), () => this.wake());
  }

  async #tell(rows: readonly Untold<Later>[]): Promise<void> {
    const notices: Notice[] = [];
    const beside: BatchOp[] = [];
    for (const row of rows) {
      const told = await this.#read(row);
      beside.push({ type: 'del', key: row.key }, ...told.ops);
      notices.push(...told.notices);
    }
    await this.#parts.writer.write(notices, beside);
    for (const { key } of rows) this.#failed.delete(key);
  }

  /** What a row comes to. One that cannot be read after several tries is passed over, and named in the log. */
  async #read({
    key,
    what,
  }: Untold<Later>): Promise<{ notices: readonly Notice[]; ops: readonly BatchOp[] }> {
    const none = { notices: [], ops: [] };
    const { warn } = this.#parts;
    if (what === undefined) {
      warn('something that was to be told is damaged and left out', { key });
      return none;
    }
    try {
      return await this.#notices(what);
    } catch (error) {
      const tries = (this.#failed.get(key) ?? 0) + 1;
      this.#failed.set(key, tries);
      if (errorCode(error) !== 'value-damaged' && tries < 5) throw error;
      warn('somebody was not told of something', { err: error, key });
      return none;
    }
  }

  async #notices(
    what: NonNullable<Untold<Later>['what']>,
  ): Promise<{ notices: readonly Notice[]; ops: readonly BatchOp[] }> {
    const { records, table, env } = this.#parts;
    const later = 'later' in what ? what.later : { again: { ...what.change, tries: 0 } };
    if ('offer' in later) {
      const { notices } = await records.ofOffer(later.offer, env.now());
      return { notices, ops: [] };
    }
    if ('hook' in later) return { notices: [], ops: await this.#handOver(later.hook) };
    const { record, at, tries } = later.again;
    const told = await records.of(record, at);
    if (told.waits !== true) return { notices: told.notices, ops: this.#offerOps(told) };
    const again = { again: { record, at, tries: tries + 1 } };
    return { notices: [], ops: tries < WAITS ? [table.later(env.now() + WAIT_MS, record, again)] : [] };
  }

  /** What the queue does not take now, it is given later. */
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

  #offerOps({ offer }: Told): BatchOp[] {
    if (offer === undefined) return [];
    const due = offer.until - Math.min(BEFORE_MS, (offer.until - offer.from) / 4);
    return [this.#parts.table.later(Math.ceil(due), offer.proposal, { offer })];
  }
}
