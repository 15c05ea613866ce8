import { setImmediate } from 'node:timers/promises';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../../storage/database.ts';
import { Digests } from '../../storage/digests.ts';
import {
  type BatchOp,
  fullKey,
  innerKey,
  numberKey,
  range,
  type SublevelName,
} from '../../storage/keyspace.ts';
import type { Store } from '../../storage/store.ts';
import type { StoredRecord } from '../../storage/stored-record.ts';
import { openJson, sealJson } from '../../storage/values.ts';
import type { Merges } from '../../protocols/open-dialog/merger.ts';
import { PASS_NOTE } from './pass-note.ts';
import {
  checkEntry,
  type CheckParts,
  checkPointer,
  checkRecord,
  type Checked,
  type PointerTable,
  recordsOf,
  type Wrong,
} from './check-rows.ts';

/** Times and bounds, each with its reason. Milliseconds. */
export const SCRUB_LIMITS = {
  /** A pass begins so long after the one before began. */
  everyMs: 24 * 60 * 60_000,
  /** After a start the node has other things to do. */
  firstMs: 60_000,
  /** Rows between two pauses: some milliseconds of work. */
  chunk: 32,
  /** Of one core, whatever the pace of the machine: it works, then it pauses for the rest. */
  share: 0.04,
  /** However slow a chunk was, because others worked too: 200,000 records stay within the day. */
  pauseMaxMs: 1500,
  /** What one pause could not take of a slow chunk, the next ones make good, up to so much. */
  debtMaxMs: 15_000,
  /** Where it stands is written down so often, in chunks. */
  noteEvery: 64,
  /** Rows that are named in the log, of each pass. */
  named: 50,
} as const;

/** The steps of a pass, in order: what entries must have, what records must have, rows that lead nowhere, the sums. */
const PHASES = [
  'feeds',
  'entries',
  'records',
  'recordOps',
  'verdicts',
  'lacking',
  'index',
  'changes',
  'digests',
] as const;
type Phase = (typeof PHASES)[number];

/** What a pass found, by table; all of it was mended but for `beyond`. */
export interface ScrubFigures {
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly rows: number;
  readonly wrong: Readonly<Record<string, number>>;
  /** Entries and what rests on them that cannot be read: only a rebuild, and peers, bring them back. */
  readonly beyond: number;
}

export interface ScrubStanding {
  readonly running: boolean;
  readonly phase: Phase | undefined;
  readonly current: ScrubFigures | undefined;
  readonly last: ScrubFigures | undefined;
}

type Pass = {
  startedAt: number;
  endedAt: number | undefined;
  phase: Phase;
  after: string;
  rows: number;
  wrong: Record<string, number>;
  beyond: number;
};

export interface ScrubParts {
  readonly db: Pick<Database, 'level' | 'batch' | 'failed' | 'env'>;
  readonly store: Store;
  readonly merges: Merges;
  /** Runs work between two commits. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** Records that were made anew. */
  readonly onMended: (states: readonly RecordState[]) => void;
  readonly onWrong: (wrong: Wrong, mended: boolean) => void;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly now: () => number;
  /** Between a start and the first pass, milliseconds; for tests. */
  readonly firstMs?: number;
  /** Waits so long, or until the signal; for tests. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Compares stored rows with the feeds, in both directions, while the node runs, and makes anew what differs. */
export interface Scrub {
  start(): void;
  stop(): Promise<void>;
  /** A whole pass now, without pauses but between other work. */
  run(onProgress?: (done: number, total: number) => void): Promise<ScrubFigures>;
  /** Everything that one author's entries have made. */
  author(author: PeerId): Promise<void>;
  standing(): ScrubStanding;
  /** Rows that were wrong since this process began, by table. */
  counts(): ReadonlyMap<string, number>;
}

export function createScrub(parts: ScrubParts): Scrub {
  const { db, store, now, firstMs = SCRUB_LIMITS.firstMs, pause = sleep } = parts;
  const counts = new Map<string, number>();
  const mending: CheckParts = parts;
  // What only looks draws no numbers: a commit may be drawing them at the same time.
  const looking: CheckParts = {
    ...parts,
    store: {
      feed: (author, channel, epoch) => store.feed(author, channel, epoch),
      feedNumbered: (no) => store.feedNumbered(no),
      entry: (no, seq) => store.entry(no, seq),
      gap: (no) => store.gap(no),
      nextChange: () => 0,
    },
  };
  let pass: Pass | undefined;
  let last: ScrubFigures | undefined;
  let stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let lane: Promise<unknown> = Promise.resolve();
  let named = 0;

  const figures = ({ startedAt, endedAt, rows, wrong, beyond }: Pass): ScrubFigures => ({
    startedAt,
    endedAt,
    rows,
    wrong: { ...wrong },
    beyond,
  });

  function found(wrong: Wrong, mended: boolean): void {
    counts.set(wrong.table, (counts.get(wrong.table) ?? 0) + 1);
    if (pass !== undefined) {
      pass.wrong[wrong.table] = (pass.wrong[wrong.table] ?? 0) + 1;
      if (!mended) pass.beyond++;
    }
    if (named++ < SCRUB_LIMITS.named) parts.log('a stored row differs from the feeds', { ...wrong, mended });
    parts.onWrong(wrong, mended);
  }

  /** Looks; what seems wrong is looked at again between two commits, and mended there. */
  async function deal(check: (at: CheckParts) => Promise<Checked>): Promise<void> {
    try {
      const seen = await check(looking);
      if (seen.wrong.length === 0 && seen.again.length === 0) return;
      await parts.alone(async () => {
        const records = new Set<RecordKey>();
        const first = await mend(await check(mending));
        for (const key of first) records.add(key);
        for (const key of records)
          for (const next of await mend(await checkRecord(mending, key))) records.add(next);
      });
    } catch (error) {
      if (!(error instanceof AgrinetError) || error.code !== 'value-damaged') throw error;
      found({ table: 'entries', kind: 'damaged', key: errorMessage(error) }, false);
    }
  }

  async function mend(checked: Checked): Promise<RecordKey[]> {
    if (checked.mend.length > 0) await db.batch([...checked.mend], true);
    for (const wrong of checked.wrong) found(wrong, true);
    if (checked.states.length > 0) parts.onMended(checked.states);
    return checked.again;
  }

  async function checkKey(phase: Phase, key: string): Promise<void> {
    if (phase === 'entries') await deal((at) => checkEntry(at, key));
    else if (phase === 'records') await deal((at) => checkRecord(at, innerKey(key) as RecordKey));
    else if (phase !== 'feeds' && phase !== 'digests')
      await deal((at) => checkPointer(at, phase satisfies PointerTable, key));
  }

  /** The heads of feeds, as this process has them: what stood on disk at its start was read then. */
  async function checkFeeds(): Promise<void> {
    await parts.alone(async () => {
      const ops: BatchOp[] = [];
      const known = new Set<string>();
      for (const feed of store.feedGroups().flatMap((group) => group.feeds)) {
        const key = fullKey('feeds', numberKey(feed.no));
        known.add(key);
        const sealed = await db.level.get(key);
        const expected = sealJson(key, feed);
        if (sealed !== undefined && Buffer.from(sealed).equals(expected)) continue;
        found({ table: 'feeds', kind: sealed === undefined ? 'missing' : 'stale', key }, true);
        ops.push({ type: 'put', key, value: expected });
      }
      for await (const key of db.level.keys(range('feeds'))) {
        if (known.has(key)) continue;
        found({ table: 'feeds', kind: 'surplus', key }, true);
        ops.push({ type: 'del', key });
      }
      if (ops.length > 0) await db.batch(ops, true);
    });
  }

  async function checkDigests(pace: () => Promise<void>): Promise<void> {
    let captured = store.digests.captured();
    let snapshot = db.level.snapshot();
    await snapshot.close();
    await parts.alone(async () => {
      captured = store.digests.captured();
      snapshot = db.level.snapshot();
    });
    const counted = new Digests();
    try {
      const sums = counted.begin();
      let rows = 0;
      for await (const [key, value] of db.level.iterator({ ...range('records'), snapshot })) {
        sums.change(undefined, openJson<StoredRecord>(key, value).state);
        if (++rows % SCRUB_LIMITS.chunk === 0) await pace();
      }
      sums.commit();
    } finally {
      await snapshot.close();
    }
    await parts.alone(async () => {
      const corrections = await store.digests.corrections(db, counted, captured);
      if (corrections.rows.length === 0) return;
      const keys = corrections.rows.map(({ key }) => key);
      await db.batch([...corrections.rows], true);
      corrections.apply();
      for (const key of keys) found({ table: 'digests', kind: 'stale', key }, true);
    });
  }

  async function note(): Promise<void> {
    if (db.failed) return;
    const value = { ...(pass === undefined ? {} : { pass }), ...(last === undefined ? {} : { last }) };
    await db.batch([{ type: 'put', key: PASS_NOTE, value: sealJson(PASS_NOTE, value) }], false);
  }

  async function onePass(
    pace: () => Promise<void>,
    signal: AbortSignal,
    onProgress: (rows: number) => void,
  ): Promise<ScrubFigures> {
    pass ??= newPass(now());
    const current = pass;
    for (const phase of PHASES.slice(PHASES.indexOf(current.phase))) {
      if (phase !== current.phase) Object.assign(current, { phase, after: '' });
      if (phase === 'feeds') await checkFeeds();
      else if (phase === 'digests') await checkDigests(pace);
      else await walk(current, phase, pace, signal, onProgress);
      if (signal.aborted) throw new AgrinetError('aborted', 'the scrub was stopped');
      await note();
    }
    current.endedAt = now();
    last = figures(current);
    pass = undefined;
    await note();
    return last;
  }

  async function walk(
    current: Pass,
    phase: SublevelName & Phase,
    pace: () => Promise<void>,
    signal: AbortSignal,
    onProgress: (rows: number) => void,
  ): Promise<void> {
    for (let chunks = 1; !signal.aborted; chunks++) {
      const { gte, lt } = range(phase);
      const from = current.after === '' ? { gte } : { gt: current.after };
      const keys: string[] = [];
      for await (const key of db.level.keys({ ...from, lt, limit: SCRUB_LIMITS.chunk })) keys.push(key);
      const end = keys.at(-1);
      if (end === undefined) return;
      for (const key of keys) await checkKey(phase, key);
      current.after = end;
      current.rows += keys.length;
      onProgress(current.rows);
      if (chunks % SCRUB_LIMITS.noteEvery === 0) await note();
      await pace();
    }
  }

  /** Pauses so long that all of it is a small share of a core, by the CPU time that passed while it worked. */
  function paced(signal: AbortSignal): () => Promise<void> {
    let before = process.cpuUsage();
    let debt = 0;
    return async () => {
      const { user, system } = process.cpuUsage(before);
      const owed = ((user + system) / 1000) * (1 / SCRUB_LIMITS.share - 1);
      debt = Math.min(debt + owed, SCRUB_LIMITS.debtMaxMs);
      const ms = Math.min(debt, SCRUB_LIMITS.pauseMaxMs);
      debt -= ms;
      await pause(ms, signal);
      before = process.cpuUsage();
    };
  }

  /** One after the other. */
  function inLane<T>(work: () => Promise<T>): Promise<T> {
    const done = lane.then(work);
    lane = done.catch(() => undefined); // told to whoever asked
    return done;
  }

  function schedule(ms: number): void {
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      const { signal } = stopping;
      void inLane(() => onePass(paced(signal), signal, () => undefined))
        .catch((error: unknown) => {
          if (!signal.aborted) parts.log('the scrub failed; it goes on later', { err: error });
        })
        .finally(() => schedule(pass === undefined ? untilNext() : firstMs));
    }, ms);
    timer.unref();
  }

  /** Bounded by the whole wait: a clock that was wrong for a while puts no pass off for years. */
  function untilNext(): number {
    const wait = (last?.startedAt ?? 0) + SCRUB_LIMITS.everyMs - now();
    return Math.min(Math.max(wait, firstMs), SCRUB_LIMITS.everyMs);
  }

  async function restore(): Promise<void> {
    const sealed = await db.level.get(PASS_NOTE);
    if (sealed === undefined) return;
    try {
      const held = openJson<{ pass?: Pass; last?: ScrubFigures }>(PASS_NOTE, sealed);
      pass ??= held.pass;
      last ??= held.last;
    } catch {
      return; // it begins anew
    }
  }

  return {
    start() {
      stopping = new AbortController();
      void inLane(restore)
        .catch((error: unknown) => parts.log('where the scrub stood is not known', { err: error }))
        .finally(() => schedule(pass === undefined ? untilNext() : firstMs));
    },
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await lane;
    },
    run(onProgress = () => undefined) {
      const paused = stopping;
      paused.abort(); // what runs in the background ends, and a whole pass begins
      clearTimeout(timer);
      stopping = new AbortController();
      const { signal } = stopping;
      return inLane(async () => {
        pass = newPass(now());
        named = 0;
        const total = await rowsToWalk(db);
        return onePass(
          () => setImmediate(),
          signal,
          (rows) => onProgress(rows, Math.max(total, rows)),
        );
      }).finally(() => schedule(untilNext()));
    },
    author: (author) =>
      inLane(async () => {
        for (const feed of store
          .feedGroups()
          .flatMap((group) => (group.author === author ? group.feeds : [])))
          await authorsFeed(feed.no);
      }),
    counts: () => counts,
    standing: () => ({
      running: pass !== undefined,
      phase: pass?.phase,
      current: pass && figures(pass),
      last,
    }),
  };

  async function authorsFeed(no: number): Promise<void> {
    const records = new Set<RecordKey>();
    const start = numberKey(no);
    for await (const key of db.level.keys(range('entries', start))) {
      if (stopping.signal.aborted) return;
      await deal((at) => checkEntry(at, key));
      for (const record of await recordsOf({ db }, key)) records.add(record);
      await setImmediate();
    }
    for (const key of records) {
      await deal((at) => checkRecord(at, key));
      await setImmediate();
    }
  }
}

function newPass(now: number): Pass {
  return { startedAt: now, endedAt: undefined, phase: 'feeds', after: '', rows: 0, wrong: {}, beyond: 0 };
}

async function rowsToWalk({ level }: Pick<Database, 'level'>): Promise<number> {
  let rows = 0;
  for (const phase of PHASES)
    if (phase !== 'feeds' && phase !== 'digests')
      for await (const key of level.keys(range(phase))) rows += key === '' ? 0 : 1;
  return rows;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    timer.unref();
    signal.addEventListener('abort', end);
  });
}
