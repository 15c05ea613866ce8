import { type Env, every, pause, type Timer } from '../../protocols/env.ts';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import type { Database } from '../database.ts';
import type { Outbox } from '../outbox.ts';
import type { MirrorCounts } from './put-row.ts';
import { type Checks, createChecks, type RepairOptions, type RepairStep } from './checks.ts';
import type { Tables } from './client.ts';
import { drainOnce, type Pass } from './drain.ts';
import { Hold } from './hold.ts';
import { type Holder, holderOf, META } from './holder.ts';
import type { MirrorLimits } from './limits.ts';
import { makeTables } from './make-tables.ts';
import { MirrorStatus } from './mirror-status.ts';
import type { MirrorSnapshot, MirrorState, Projection } from './types.ts';
import type { VerifyStep } from './verify.ts';
import { Pause, Rounds } from './waits.ts';

export interface MirrorParts {
  readonly db: Database;
  readonly outbox: Outbox;
  /** The tables, whose requests end with the signal. */
  readonly tables: (signal: AbortSignal) => Tables;
  /** Names the table set: another one has to be filled. */
  readonly tablesId: string;
  readonly projection: Projection;
  readonly self: string;
  /** Random, of this process. */
  readonly claim: string;
  readonly env: Pick<Env, 'now' | 'random' | 'after'>;
  readonly log: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
  /** Told of a state in which the operator has to do something. */
  readonly onTrouble: (state: MirrorState, detail: string) => void;
  readonly limits: MirrorLimits;
}

/** How long a check waits for the outbox to be brought out. */
const DRAINED_MS = 120_000;
/** Rows that arrive while a pass ends are collected for the next one. */
const GATHER_MS = 20;
/** How long running requests may take at a stop. */
const STOP_MS = 1500;
/** How long `init` waits until this node holds the tables. */
const ATTACHED_MS = 60_000;

/** Keeps the tables equal to LevelDB: attaches, fills, drains, renews its hold, and reports its status. Starts by itself. */
export class Mirror {
  readonly #parts: MirrorParts;
  readonly #status: MirrorStatus;
  readonly #tables: Tables;
  readonly #hold: Hold;
  readonly #checks: Checks;
  readonly #counts: MirrorCounts = { written: 0, tombstoned: 0, removed: 0, overtaken: 0, failures: 0 };
  readonly #stopping = new AbortController();
  readonly #hardStop = new AbortController();
  readonly #pause: Pause;
  /** Passes over the outbox, and attempts to attach. */
  readonly #rounds: Rounds;
  readonly #attempts: Rounds;
  readonly #renewing: Timer;
  readonly #loop: Promise<void>;
  #takeOver = false;
  #displaced = false;
  #failures = 0;
  #inFlight = 0;
  /** Whether rows arrived since the last pass began. */
  #work = false;
  #asleep = false;
  #repairing: Promise<void> | undefined;

  constructor(parts: MirrorParts) {
    const { db, outbox, projection, env, limits } = parts;
    this.#parts = parts;
    this.#pause = new Pause(env);
    this.#rounds = new Rounds(env);
    this.#attempts = new Rounds(env);
    this.#status = new MirrorStatus(parts);
    const tables = parts.tables(this.#hardStop.signal);
    this.#tables = tables;
    this.#hold = new Hold({ ...parts, tables, now: env.now });
    this.#checks = createChecks({
      db,
      outbox,
      tables,
      projection,
      limits,
      drained: () => this.#drained(),
      incarnation: () => this.#incarnation(),
    });
    outbox.onWork(() => {
      this.#work = true;
      // While DynamoDB is away, new work does not shorten the pause.
      if (this.#asleep) this.#pause.end();
    });
    this.#renewing = every(env, limits.renewMs, () => void this.#renew());
    this.#loop = this.#run().catch((error: unknown) => this.#status.be('stopped', errorMessage(error)));
  }

  snapshot(): MirrorSnapshot {
    const { outbox, env, limits } = this.#parts;
    const { pending, waiting, refused } = outbox.counts;
    const { oldest } = outbox;
    const { state, detail, lastWriteAt, error: lastError } = this.#status;
    return {
      state,
      detail,
      pending,
      lagSeconds: oldest === undefined ? 0 : Math.max(0, (env.now() - oldest) / 1000),
      waiting,
      refused,
      refusals: outbox.refusals(limits.shown),
      outbox: outbox.size,
      inFlight: this.#inFlight,
      ...this.#counts,
      incarnation: this.#hold.holder?.incarnation ?? 0,
      lastWriteAt,
      lastError,
      repairDue: this.#hold.repairDue,
    };
  }

  /** Who holds the tables, according to them; undefined for nobody. Throws the errors of `Tables`. */
  async holder(): Promise<Holder | undefined> {
    return holderOf(await this.#tables.get({ table: META.name, key: ['holder'] }));
  }

  /** Makes the tables that are missing, and with `takeOver` takes them from a node that is gone. Gives the names of those made. */
  async init(takeOver: boolean): Promise<string[]> {
    const made = await makeTables(this.#parts.env, this.#tables, [META, ...this.#parts.projection.tables]);
    // A new table holds nothing of what was written before.
    if (made.length > 0) await this.#hold.refill();
    this.#takeOver = takeOver;
    const late = new AgrinetError(
      'mirror-away',
      'the mirror did not respond in time; see: agrinet mirror status',
    );
    const next = this.#attempts.next(ATTACHED_MS, late);
    this.#pause.end();
    await next;
    return made.map((name) => this.#tables.prefix + name);
  }

  /** Throws `mirror-away`, `mirror-filling`, `mirror-busy`. */
  verify(): AsyncGenerator<VerifyStep> {
    return this.#checks.verify();
  }

  /** As `verify`, and writes again whatever differs. */
  repair(options: RepairOptions): AsyncGenerator<RepairStep> {
    return this.#checks.repair(options);
  }

  async stop(): Promise<void> {
    this.#renewing.cancel();
    this.#stopping.abort();
    this.#rounds.fail(new AgrinetError('mirror-away', 'the node is stopping'));
    this.#pause.end();
    const late = this.#parts.env.after(STOP_MS, () => this.#hardStop.abort(), { holds: true });
    await this.#loop;
    await this.#repairing;
    if (this.#status.state !== 'displaced')
      await this.#hold
        .renew(0)
        .catch((error: unknown) =>
          this.#parts.log('info', 'the mirror could not release its tables', { err: error }),
        );
    late.cancel();
    this.#status.be('stopped', '');
    this.#tables.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#oneRound();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const message = errorMessage(error);
        this.#status.error = message;
        await this.#troubled(errorCode(error), message).catch((failed: unknown) => {
          this.#status.error = errorMessage(failed);
        });
        if (this.#status.state === 'displaced') return;
        await this.#pause.wait(this.#untilRetry());
      }
    }
  }

  async #oneRound(): Promise<void> {
    const { signal } = this.#stopping;
    const attempt = this.#attempts.begin();
    try {
      if (this.#hold.holder === undefined) await this.#attach();
    } finally {
      this.#attempts.done(attempt);
    }
    const { holder } = this.#hold;
    if (holder === undefined) return;
    while (this.#mayFill() && !signal.aborted) await this.#hold.fill(this.#parts.limits.fillChunk);
    const pass = await this.#drain(holder);
    if (this.#displaced) throw new AgrinetError('mirror-displaced', 'a newer process writes to these tables');
    if (pass.error !== undefined) {
      this.#status.error = pass.error.message;
      if (pass.done === 0 || !PASSING.has(pass.error.code)) throw pass.error;
    }
    this.#failures = 0;
    this.#status.be(this.#hold.isFilling ? 'filling' : 'running', '');
    this.#repairIfDue();
    if (signal.aborted || this.#mayFill()) return;
    await this.#rest(pass);
  }

  #mayFill(): boolean {
    return this.#hold.isFilling && this.#parts.outbox.counts.pending < this.#parts.limits.fillAhead;
  }

  /** Until there is more to do; a little longer, so that rows which come together go together. */
  async #rest(pass: Pass): Promise<void> {
    const { env, limits } = this.#parts;
    if (pass.failed > 0) return this.#pause.wait(env.random() * 500);
    if (!this.#work) {
      this.#asleep = true;
      await this.#pause.wait(Math.max(0, Math.min(limits.renewMs, (pass.nextDue ?? Infinity) - env.now())));
      this.#asleep = false;
    }
    await pause(env, GATHER_MS, undefined, { holds: true });
  }

  async #attach(): Promise<void> {
    // For one attempt only: a process that is refused now must not succeed later unnoticed.
    const over = this.#takeOver;
    this.#takeOver = false;
    const reason = await this.#hold.attach(over);
    this.#status.error = undefined;
    this.#status.be(this.#hold.isFilling ? 'filling' : 'running', '');
    const incarnation = this.#hold.holder?.incarnation;
    this.#parts.log('info', 'the mirror holds its tables', { incarnation, fill: reason });
  }

  async #drain(held: Holder): Promise<Pass> {
    const { outbox, projection, env, limits } = this.#parts;
    const counts = this.#counts;
    const round = this.#rounds.begin();
    this.#work = false;
    const before = counts.written + counts.tombstoned + counts.removed;
    const pass = await drainOnce(
      {
        outbox,
        tables: this.#tables,
        projection,
        incarnation: held.incarnation,
        newestVersion: () => outbox.newestVersion,
        isHeld: () => this.#hold.isMine(held),
        counts,
        now: env.now,
        limits,
        onFlight: (count) => (this.#inFlight = count),
      },
      this.#stopping.signal,
    );
    if (counts.written + counts.tombstoned + counts.removed > before) this.#status.lastWriteAt = env.now();
    if (pass.error === undefined && !this.#stopping.signal.aborted) this.#rounds.done(round);
    return pass;
  }

  async #troubled(code: string, message: string): Promise<void> {
    const next = STATES[code] ?? 'away';
    if (next !== 'away')
      this.#rounds.fail(new AgrinetError('mirror-away', `the mirror is not running: ${message}`));
    this.#status.be(next, message);
    if (next === 'tables-missing') await this.#hold.lost();
  }

  /** Grows while DynamoDB is unreachable; conditions that need the operator are checked periodically. */
  #untilRetry(): number {
    const { limits, env } = this.#parts;
    this.#failures++;
    if (this.#status.state !== 'away') return limits.retryMs * (0.5 + env.random() / 2);
    return Math.min(limits.backoffMs, 500 * 2 ** Math.min(this.#failures - 1, 20)) * env.random();
  }

  async #renew(): Promise<void> {
    if (this.#hold.holder === undefined) return;
    try {
      if (await this.#hold.renew()) {
        if (this.#status.state === 'away') this.#pause.end();
      } else {
        this.#displaced = true;
        this.#pause.end();
      }
    } catch (error) {
      this.#status.error = errorMessage(error);
      if (this.#status.state === 'running') this.#status.be('away', this.#status.error);
    }
  }

  /** Resolves when everything that is in the outbox now has been written. Throws `mirror-away`. */
  #drained(): Promise<void> {
    const late = new AgrinetError(
      'mirror-away',
      'the mirror did not catch up in time; see: agrinet mirror status',
    );
    const next = this.#rounds.next(DRAINED_MS, late);
    this.#work = true;
    if (this.#asleep) this.#pause.end();
    return next;
  }

  /** Of the hold, while the tables can be checked. Throws `mirror-filling`, `mirror-away`. */
  #incarnation(): number {
    const { state, detail } = this.#status;
    const { holder, isFilling } = this.#hold;
    if (holder !== undefined && isFilling)
      throw new AgrinetError(
        'mirror-filling',
        'the initial copy is still being written to the tables; try again when it is finished',
      );
    if (holder === undefined || (state !== 'running' && state !== 'away'))
      throw new AgrinetError('mirror-away', `the mirror is not running: ${detail === '' ? state : detail}`);
    return holder.incarnation;
  }

  #repairIfDue(): void {
    const { log } = this.#parts;
    if (!this.#hold.repairDue || this.#hold.isFilling) return;
    if (this.#repairing !== undefined || this.#checks.busy()) return;
    this.#repairing = this.#repairAll()
      .catch((error: unknown) => log('warn', 'the tables could not be repaired; retrying', { err: error }))
      .finally(() => (this.#repairing = undefined));
  }

  async #repairAll(): Promise<void> {
    let differences = 0;
    for await (const step of this.#checks.repair({ deleteForeign: false }))
      if (step.kind === 'difference') differences++;
    await this.#hold.repaired();
    this.#parts.log('info', 'the tables were compared with the database', { differences });
  }
}

/** Errors that concern some rows only, or are temporary: the others continue. */
const PASSING = new Set(['mirror-throttled', 'mirror-away', 'internal']);
const STATES: Readonly<Record<string, MirrorState>> = {
  'mirror-table-missing': 'tables-missing',
  'mirror-held': 'refused',
  'mirror-keys': 'refused',
  'mirror-denied': 'denied',
  'mirror-displaced': 'displaced',
};
