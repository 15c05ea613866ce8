import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import type { Database } from '../database.ts';
import type { Outbox } from '../outbox.ts';
import { attachTo } from './attach.ts';
import type { MirrorCounts } from './bring.ts';
import { createChecks, type RepairOptions, type RepairStep } from './checks.ts';
import type { Tables } from './client.ts';
import { drainOnce, type Pass } from './drain.ts';
import { fillStep } from './fill.ts';
import { type Holder, holderOf, isHeld, META, renewHold } from './holder.ts';
import type { MirrorLimits } from './limits.ts';
import { memoryOp, type MirrorMemory } from './memory.ts';
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
  readonly now: () => number;
  readonly random: () => number;
  readonly log: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
  /** Told of a state in which the operator has to do something. */
  readonly onTrouble: (state: MirrorState, detail: string) => void;
  readonly limits: MirrorLimits;
}

export interface Mirror {
  snapshot(): MirrorSnapshot;
  /** Who holds the tables, as they say; undefined for nobody. Throws the errors of `Tables`. */
  holder(): Promise<Holder | undefined>;
  /** Makes the tables that are missing, and with `takeOver` takes them from a node that is gone. Gives the names of those made. */
  init(takeOver: boolean): Promise<string[]>;
  /** Throws `mirror-away`, `mirror-filling`, `mirror-busy`. */
  verify(): AsyncGenerator<VerifyStep>;
  /** As `verify`, and brings out anew whatever differs. */
  repair(options: RepairOptions): AsyncGenerator<RepairStep>;
  stop(): Promise<void>;
}

/** How long a check waits for the outbox to be brought out. */
const DRAINED_MS = 120_000;
/** Rows that come in while a pass ends go together in the next. */
const GATHER_MS = 20;
/** What is under way at a stop may take so long. */
const STOP_MS = 1500;
/** A new table is looked at so often, and so many times. */
const MADE_MS = 250;
const MADE_TIMES = 240;

/** Keeps the tables like LevelDB: attaches, fills, drains, renews its hold, and says how it is. Starts by itself. */
export function startMirror(parts: MirrorParts): Mirror {
  const { db, outbox, projection, now, log, limits } = parts;
  const stopping = new AbortController();
  const hardStop = new AbortController();
  const tables = parts.tables(hardStop.signal);
  const counts: MirrorCounts = { written: 0, tombstoned: 0, removed: 0, overtaken: 0, failures: 0 };
  const pause = new Pause();
  const rounds = new Rounds();
  const attempts = new Rounds();
  const holding = { tables, self: parts.self, now, limits };
  let state: MirrorState = 'starting';
  let detail = '';
  let lastError: string | undefined;
  let lastWriteAt: number | undefined;
  let holder: Holder | undefined;
  let memory: MirrorMemory | undefined;
  let takeOver = false;
  let displaced = false;
  let failures = 0;
  let inFlight = 0;
  let work = false;
  let asleep = false;
  let repairing: Promise<void> | undefined;

  outbox.onWork(() => {
    work = true;
    // While DynamoDB is away, new work does not shorten the pause.
    if (asleep) pause.end();
  });

  function be(next: MirrorState, why: string): void {
    const same = next === state;
    state = next;
    detail = why;
    if (same) return;
    const calm = next === 'running' || next === 'filling' || next === 'stopped';
    log(calm ? 'info' : 'warn', 'mirror', { state, detail });
    if (TROUBLES.has(next)) parts.onTrouble(next, why);
  }

  // -- attaching

  async function attach(): Promise<void> {
    // For one attempt only: who is refused now must not slip in later.
    const over = takeOver;
    takeOver = false;
    const attached = await attachTo({ ...parts, ...holding }, over);
    ({ holder, memory } = attached);
    lastError = undefined;
    be(memory.fill === undefined ? 'running' : 'filling', '');
    log('info', 'the mirror holds its tables', { incarnation: holder.incarnation, fill: attached.reason });
  }

  async function remember(next: MirrorMemory): Promise<void> {
    memory = next;
    await db.batch([memoryOp(next)], true);
  }

  // -- draining

  async function drain(held: Holder): Promise<Pass> {
    const round = rounds.begin();
    work = false;
    const before = counts.written + counts.tombstoned + counts.removed;
    const pass = await drainOnce(
      {
        outbox,
        tables,
        projection,
        incarnation: held.incarnation,
        settled: () => outbox.settled,
        isHeld: () => isHeld(holding, held),
        counts,
        now,
        limits,
        onFlight: (count) => (inFlight = count),
      },
      stopping.signal,
    );
    if (counts.written + counts.tombstoned + counts.removed > before) lastWriteAt = now();
    if (pass.error === undefined && !stopping.signal.aborted) rounds.done(round);
    return pass;
  }

  async function oneRound(): Promise<void> {
    const attempt = attempts.begin();
    try {
      if (holder === undefined) await attach();
    } finally {
      attempts.done(attempt);
    }
    if (holder === undefined || memory === undefined) return;
    while (memory.fill !== undefined && outbox.counts.pending < limits.fillAhead && !stopping.signal.aborted)
      memory = await fillStep({ db, outbox }, memory, limits.fillChunk);
    const pass = await drain(holder);
    if (displaced) throw new AgrinetError('mirror-displaced', 'a newer process writes to these tables');
    if (pass.error !== undefined) {
      lastError = pass.error.message;
      if (pass.done === 0 || !PASSING.has(pass.error.code)) throw pass.error;
    }
    failures = 0;
    be(memory.fill === undefined ? 'running' : 'filling', '');
    repairIfDue();
    if (stopping.signal.aborted || (memory.fill !== undefined && outbox.counts.pending < limits.fillAhead))
      return;
    if (pass.failed > 0) return pause.wait(parts.random() * 500);
    if (!work) {
      asleep = true;
      const idle = limits.renewMs;
      await pause.wait(Math.max(0, Math.min(idle, (pass.nextDue ?? Infinity) - now())));
      asleep = false;
    }
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await oneRound();
      } catch (error) {
        if (stopping.signal.aborted) return;
        const code = errorCode(error);
        lastError = errorMessage(error);
        await troubled(code, lastError).catch((failed: unknown) => (lastError = errorMessage(failed)));
        if (state === 'displaced') return;
        failures++;
        const fixed =
          state === 'away'
            ? Math.min(limits.backoffMs, 500 * 2 ** Math.min(failures - 1, 20))
            : limits.retryMs;
        const share = state === 'away' ? parts.random() : 0.5 + parts.random() / 2;
        await pause.wait(fixed * share);
      }
    }
  }

  async function troubled(code: string, message: string): Promise<void> {
    const trouble = new AgrinetError('mirror-away', `the mirror is not at work: ${message}`);
    const next = STATES[code] ?? 'away';
    if (next !== 'away') rounds.fail(trouble);
    be(next, message);
    if (next !== 'tables-missing') return;
    holder = undefined;
    // They will be empty when they come again.
    if (memory !== undefined && memory.fill !== '') await remember({ ...memory, fill: '' });
  }

  // -- the hold

  async function renew(): Promise<void> {
    if (holder === undefined) return;
    const next = { ...holder, seenAt: now(), commits: db.commits };
    try {
      if (await renewHold(holding, next)) {
        if (state === 'away') pause.end();
      } else {
        displaced = true;
        pause.end();
      }
    } catch (error) {
      lastError = errorMessage(error);
      if (state === 'running') be('away', lastError);
    }
  }
  const renewing = setInterval(() => void renew(), limits.renewMs);
  renewing.unref();

  // -- checking and mending

  async function drained(): Promise<void> {
    const late = new AgrinetError(
      'mirror-away',
      'the mirror did not catch up in time; see: agrinet mirror status',
    );
    const next = rounds.next(DRAINED_MS, late);
    work = true;
    if (asleep) pause.end();
    return next;
  }

  const checks = createChecks({
    db,
    outbox,
    tables,
    projection,
    limits,
    drained,
    incarnation() {
      if (holder !== undefined && memory?.fill !== undefined)
        throw new AgrinetError('mirror-filling', 'the tables are being filled; when that is done, try again');
      if (holder === undefined || (state !== 'running' && state !== 'away'))
        throw new AgrinetError('mirror-away', `the mirror is not at work: ${detail === '' ? state : detail}`);
      return holder.incarnation;
    },
  });

  function repairIfDue(): void {
    if (memory?.repair !== true || memory.fill !== undefined || repairing !== undefined || checks.busy())
      return;
    repairing = (async () => {
      let differences = 0;
      for await (const step of checks.repair({ deleteForeign: false }))
        if (step.kind === 'difference') differences++;
      if (memory === undefined) return;
      const { repair: _, ...rest } = memory;
      await remember(rest);
      log('info', 'the tables were held against the database', { differences });
    })()
      .catch((error: unknown) => log('warn', 'the tables could not be repaired; tried again', { err: error }))
      .finally(() => (repairing = undefined));
  }

  const loop = run().catch((error: unknown) => be('stopped', errorMessage(error)));

  return {
    snapshot() {
      const { pending, waiting, refused } = outbox.counts;
      const { oldest } = outbox;
      return {
        state,
        detail,
        pending,
        lagSeconds: oldest === undefined ? 0 : Math.max(0, (now() - oldest) / 1000),
        waiting,
        refused,
        refusals: outbox.refusals(limits.shown),
        outbox: outbox.size,
        inFlight,
        ...counts,
        incarnation: holder?.incarnation ?? 0,
        lastWriteAt,
        lastError,
        repairDue: memory?.repair === true,
      };
    },
    async holder() {
      return holderOf(await tables.get({ table: META.name, key: ['holder'] }));
    },
    async init(over) {
      const made: string[] = [];
      for (const spec of [META, ...projection.tables]) {
        if ((await tables.find(spec)) !== 'missing') continue;
        await tables.create(spec);
        made.push(spec.name);
      }
      for (const spec of [META, ...projection.tables]) {
        for (let times = 0; (await tables.find(spec)) === 'being-made' && times < MADE_TIMES; times++)
          await new Promise((resolve) => setTimeout(resolve, MADE_MS));
      }
      // A table that is new holds nothing of what was brought out before.
      if (memory !== undefined && made.length > 0) await remember({ ...memory, fill: '' });
      takeOver = over;
      const late = new AgrinetError(
        'mirror-away',
        'the mirror did not answer in time; see: agrinet mirror status',
      );
      const next = attempts.next(60_000, late);
      pause.end();
      await next;
      return made.map((name) => tables.prefix + name);
    },
    verify: () => checks.verify(),
    repair: (options) => checks.repair(options),
    async stop() {
      clearInterval(renewing);
      stopping.abort();
      rounds.fail(new AgrinetError('mirror-away', 'the node is stopping'));
      pause.end();
      const late = setTimeout(() => hardStop.abort(), STOP_MS);
      await loop;
      await repairing;
      if (holder !== undefined && state !== 'displaced')
        await renewHold(holding, { ...holder, seenAt: 0, commits: db.commits }).catch((error: unknown) =>
          log('info', 'the mirror could not say that it stops', { err: error }),
        );
      clearTimeout(late);
      be('stopped', '');
      tables.close();
    },
  };
}

/** What concerns some rows only, or one moment: the others go on. */
const PASSING = new Set(['mirror-throttled', 'mirror-away', 'internal']);
/** What the operator has to see to. */
const TROUBLES: ReadonlySet<MirrorState> = new Set(['tables-missing', 'refused', 'denied', 'displaced']);
const STATES: Readonly<Record<string, MirrorState>> = {
  'mirror-table-missing': 'tables-missing',
  'mirror-held': 'refused',
  'mirror-keys': 'refused',
  'mirror-denied': 'denied',
  'mirror-displaced': 'displaced',
};
