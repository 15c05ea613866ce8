import type { ScrubPass, ScrubPort } from '../../api/ports/scrub.ts';
import { type Env, pause, type Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Merges } from '../../protocols/open-dialog/merger.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../../storage/database.ts';
import { numberKey, range, type SublevelName } from '../../storage/keyspace.ts';
import type { SearchIndex } from '../../storage/search/search-index.ts';
import type { Store } from '../../storage/store.ts';
import { recordsOf, type Wrong } from './check-rows.ts';
import { checkDigests, checkFeeds } from './check-sums.ts';
import { SCRUB_LIMITS } from './limits.ts';
import { Repairer } from './repairer.ts';
import {
  figuresOf,
  newPass,
  notedPass,
  notePass,
  type Pass,
  type Phase,
  PHASES,
  rowsToWalk,
} from './pass.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';

export interface ScrubParts {
  readonly db: Pick<Database, 'level' | 'batch' | 'failed' | 'env'>;
  readonly store: Store;
  readonly merges: Merges;
  /** Where there is none, as in tests of other parts, it is not checked. */
  readonly search?: Pick<SearchIndex, 'check'>;
  /** Looks at every attachment, and drops what is damaged or named by nothing. Where there is none, as in tests of the rest, it is not looked at. */
  readonly checkAttachments?: (
    wrong: (key: string, kind: Wrong['kind']) => void,
    pace: () => Promise<void>,
  ) => Promise<void>;
  /** Runs work between two commits. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** Records that were derived again. */
  readonly onRepaired: (states: readonly RecordState[]) => void;
  readonly onWrong: (wrong: Wrong, repaired: boolean) => void;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly env: Pick<Env, 'now' | 'after'>;
  /** Ops of a record that are derived at most; for tests. */
  readonly opsOfRecord?: number;
  /** Between a start and the first pass, milliseconds; for tests. */
  readonly firstMs?: number;
  /** Waits so long, or until the signal; for tests. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How a pass runs: how it yields to other work, what ends it, who is told its progress. */
interface Walk {
  readonly pace: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress: (rows: number) => void;
}

/** Compares stored rows with the feeds, in both directions, while the node runs, and recreates what differs. */
export class Scrub {
  readonly #parts: ScrubParts;
  readonly #repairer: Repairer;
  readonly #firstMs: number;
  readonly #counts = new Map<string, number>();
  #pass: Pass | undefined;
  #last: ScrubPass | undefined;
  #stopping = new AbortController();
  #timer: Timer | undefined;
  readonly #queue = new SerialQueue();
  #named = 0;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
    this.#firstMs = parts.firstMs ?? SCRUB_LIMITS.firstMs;
    this.#repairer = new Repairer(
      { opsOfRecord: SCRUB_LIMITS.opsOfRecord, ...parts },
      (wrong, repaired) => this.#found(wrong, repaired),
      (key) => this.#tooLong(key),
    );
  }

  start(): void {
    this.#stopping = new AbortController();
    void this.#queue
      .run(() => this.#restore())
      .catch((error: unknown) =>
        this.#parts.log('the position of the scrub is unknown; a new pass begins', { err: error }),
      )
      .finally(() => this.#schedule(this.#pass === undefined ? this.#untilNext() : this.#firstMs));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#queue.idle();
  }

  /** A whole pass now, without pauses but between other work. */
  run(onProgress: (done: number, total: number) => void = () => undefined): Promise<ScrubPass> {
    const { db, env } = this.#parts;
    this.#stopping.abort(); // what runs in the background ends, and a whole pass begins
    this.#timer?.cancel();
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    return this.#queue
      .run(async () => {
        this.#pass = newPass(env.now());
        this.#named = 0;
        const total = await rowsToWalk(db);
        return this.#onePass({
          pace: () => pause(env, 0),
          signal,
          onProgress: (rows) => onProgress(rows, Math.max(total, rows)),
        });
      })
      .finally(() => this.#schedule(this.#untilNext()));
  }

  /** Everything that one author's entries have made. */
  author(author: PeerId): Promise<void> {
    const groups = (): ReturnType<Store['feedGroups']> => this.#parts.store.feedGroups();
    return this.#queue.run(async () => {
      for (const feed of groups().flatMap((group) => (group.author === author ? group.feeds : [])))
        await this.#authorsFeed(feed.no);
    });
  }

  /** Rows that were wrong since this process began, by table. */
  counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  status(): ReturnType<ScrubPort['status']> {
    return {
      running: this.#pass !== undefined,
      phase: this.#pass?.phase,
      current: this.#pass && figuresOf(this.#pass),
      last: this.#last,
    };
  }

  async #authorsFeed(no: number): Promise<void> {
    const { db, env } = this.#parts;
    const records = new Set<RecordKey>();
    for await (const key of db.level.keys(range('entries', numberKey(no)))) {
      if (this.#stopping.signal.aborted) return;
      await this.#repairer.entry(key);
      for (const record of await recordsOf({ db }, key)) records.add(record);
      await pause(env, 0);
    }
    for (const key of records) {
      await this.#repairer.record(key);
      await pause(env, 0);
    }
  }

  async #onePass(walk: Walk): Promise<ScrubPass> {
    const { env } = this.#parts;
    const found = (wrong: Wrong, repaired: boolean): void => this.#found(wrong, repaired);
    const pass = (this.#pass ??= newPass(env.now()));
    const pace = async (): Promise<void> => {
      await walk.pace();
      if (walk.signal.aborted) throw stopped();
    };
    for (const phase of PHASES.slice(PHASES.indexOf(pass.phase))) {
      if (phase !== pass.phase) Object.assign(pass, { phase, after: '' });
      if (phase === 'feeds') await checkFeeds(this.#parts, found);
      else if (phase === 'digests') await checkDigests(this.#parts, found, pace);
      else if (phase === 'search')
        await this.#parts.search?.check(
          (kind, from) => found({ table: 'search', kind, key: `behind change ${from}` }, true),
          pace,
        );
      else if (phase === 'attachments')
        await this.#parts.checkAttachments?.(
          (key, kind) => found({ table: 'attachments', kind, key }, true),
          pace,
        );
      else await this.#walk(pass, phase, walk);
      if (walk.signal.aborted) throw stopped();
      await this.#note();
    }
    pass.endedAt = env.now();
    this.#last = figuresOf(pass);
    this.#pass = undefined;
    await this.#note();
    return this.#last;
  }

  async #walk(pass: Pass, phase: SublevelName & Phase, { pace, signal, onProgress }: Walk): Promise<void> {
    for (let chunks = 1; !signal.aborted; chunks++) {
      const { gte, lt } = range(phase);
      const from = pass.after === '' ? { gte } : { gt: pass.after };
      const rows = this.#parts.db.level.keys({ ...from, lt, limit: SCRUB_LIMITS.chunk });
      const keys = await rows.all();
      const end = keys.at(-1);
      if (end === undefined) return;
      for (const key of keys) await this.#repairer.key(phase, key);
      pass.after = end;
      pass.rows += keys.length;
      onProgress(pass.rows);
      if (chunks % SCRUB_LIMITS.noteEvery === 0) await this.#note();
      await pace();
    }
  }

  #found(wrong: Wrong, repaired: boolean): void {
    this.#counts.set(wrong.table, (this.#counts.get(wrong.table) ?? 0) + 1);
    if (this.#pass !== undefined) {
      this.#pass.wrong[wrong.table] = (this.#pass.wrong[wrong.table] ?? 0) + 1;
      if (!repaired) this.#pass.beyond++;
    }
    if (this.#named++ < SCRUB_LIMITS.named)
      this.#parts.log('a stored row differs from the feeds', { ...wrong, repaired });
    this.#parts.onWrong(wrong, repaired);
  }

  #tooLong(key: RecordKey): void {
    if (this.#pass !== undefined) this.#pass.unchecked++;
    this.#parts.log('a record has too many changes to be derived anew', { record: key });
  }

  async #note(): Promise<void> {
    if (this.#parts.db.failed) return;
    await notePass(this.#parts.db, {
      ...(this.#pass === undefined ? {} : { pass: this.#pass }),
      ...(this.#last === undefined ? {} : { last: this.#last }),
    });
  }

  async #restore(): Promise<void> {
    const noted = await notedPass(this.#parts.db);
    // Noted by an older version it has no count of them.
    this.#pass ??= noted.pass && { ...noted.pass, unchecked: noted.pass.unchecked ?? 0 };
    this.#last ??= noted.last;
  }

  #schedule(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#parts.env.after(ms, () => this.#inBackground());
  }

  #inBackground(): void {
    const { env, log } = this.#parts;
    const { signal } = this.#stopping;
    const rest = this.#parts.pause ?? ((ms: number, until: AbortSignal) => pause(env, ms, until));
    void this.#queue
      .run(() =>
        this.#onePass({ pace: paced((ms) => rest(ms, signal)), signal, onProgress: () => undefined }),
      )
      .catch((error: unknown) => {
        if (!signal.aborted) log('the scrub failed; it continues later', { err: error });
      })
      .finally(() => this.#schedule(this.#pass === undefined ? this.#untilNext() : this.#firstMs));
  }

  /** Bounded by the whole wait: a clock that was wrong for a while puts no pass off for years. */
  #untilNext(): number {
    const wait = (this.#last?.startedAt ?? 0) + SCRUB_LIMITS.everyMs - this.#parts.env.now();
    return Math.min(Math.max(wait, this.#firstMs), SCRUB_LIMITS.everyMs);
  }
}

const stopped = (): AgrinetError => new AgrinetError('aborted', 'the scrub was stopped');

/**
 * Pauses so long that all of it is a small share of a core, by the CPU time that passed while it worked. Of the whole process, since
 * LevelDB reads on threads of its own.
 */
export function paced(pause: (ms: number) => Promise<void>): () => Promise<void> {
  let before = process.cpuUsage();
  let owed = 0;
  return async () => {
    const { user, system } = process.cpuUsage(before);
    const more = ((user + system) / 1000) * (1 / SCRUB_LIMITS.share - 1);
    owed = Math.min(owed + more, SCRUB_LIMITS.owedMaxMs);
    const ms = Math.min(owed, SCRUB_LIMITS.pauseMaxMs);
    owed -= ms;
    await pause(ms);
    before = process.cpuUsage();
  };
}
