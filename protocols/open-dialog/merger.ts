import type { Env, Timer } from '../env.ts';
import { errorCode } from '../errors.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { MergeQuestion } from './merge-questions.ts';
import { MergeThread, type StartMergeWorker } from './merge-thread.ts';
import type { Unmerged, Values } from './record.ts';
import type { MergeInput } from './rule.ts';

/** Alarms of the merging worker; `merge-outstanding` means that a record has waited through several attempts. */
export type MergeAlarm = {
  readonly kind: 'merge-deadline' | 'merge-failed' | 'merge-outstanding';
  readonly key: string;
};

/** Merges documents with Automerge, off the main thread. */
export interface Merges {
  /** The values of a document, or why they are not there yet: then `Merger.onDue` says when to ask again. */
  merge(key: RecordKey, input: MergeInput): Promise<Values | Unmerged>;
}

export interface Merger extends Merges {
  /** Told of a record whose outstanding merge is to be asked for again. */
  onDue(listener: (key: RecordKey) => void): void;
  /** More records waited than are remembered, and there is room again: all that wait on disk are to be asked for. */
  onRoom(listener: () => void): void;
  stop(): Promise<void>;
}

/** Times in milliseconds. A test has shorter ones. */
export interface MergeTimes {
  /**
   * How long a commit waits for values at most, so that a quick merge is written once. While a merge is late, no other one is waited
   * for.
   */
  readonly waitMs: number;
  /** The first try, in the worker that all share. */
  readonly quickMs: number;
  /**
   * The deadline of the first attempt in the background; quadrupled with each further one, because a record can really be that
   * large.
   */
  readonly patientMs: number;
  /** Before the second patient try; each further pause is four times as long. */
  readonly pauseMs: number;
}

const TIMES: MergeTimes = { waitMs: 1_000, quickMs: 5_000, patientMs: 40_000, pauseMs: 1_000 };
const MOST = { patientMs: 640_000, pauseMs: 600_000 } as const;
/** Failed background attempts after which the operator is told. */
const LASTING = 3;
/** A document unmerged for this long is reported to the operator, whatever its attempts: changes may arrive faster than merges finish. */
const LASTING_MS = 600_000;
/** Before those that were not remembered are asked for: so many first pauses, which is a minute. */
const ROOM_PAUSES = 60;
/** Records remembered as needing patience; the others are tried quickly first. */
const HEAVY = 10_000;

export interface MergerParts {
  readonly env: MergerEnv;
  /** Two workers are started, each when it is needed first. */
  readonly start: StartMergeWorker;
  readonly onAlarm: (alarm: MergeAlarm) => void;
  readonly times?: MergeTimes;
  /** Records that are remembered at most; a test has fewer. */
  readonly remembered?: number;
}

type MergerEnv = Pick<Env, 'monotonic' | 'after'>;

interface Heavy {
  attempts: number;
  /** Since when it has been unmerged, on the monotonic clock; without it, it is not. */
  since?: number;
  /** How its last try went; without it none has ended. */
  reason?: Unmerged;
  /** It is being merged in the quick worker, or its next try has its time: nothing is begun for it, whatever comes meanwhile. */
  isPaused?: boolean;
  /** Its last merge took longer than anybody waits. */
  isLong?: boolean;
  /** It waits only because another one was late, and has not been tried: what it needs is not known. */
  isPutOff?: boolean;
  done?: { readonly id: string; readonly values: Values };
}

/**
 * Merges the applied changes of a record with Automerge, in workers that can be terminated; which changes are applied, and the
 * heads, are decided by the rule before (`rule.ts`). The work never comes back to the main thread: if a worker does not finish in a
 * moment, or dies, the merge is outstanding. One record at a time is then retried in a second worker with more time, and after a
 * pause if that fails too.
 */
export function createMerger(parts: MergerParts): Merger {
  return new Mergers(parts);
}

class Mergers implements Merger {
  readonly #env: MergerEnv;
  readonly #onAlarm: (alarm: MergeAlarm) => void;
  readonly #times: MergeTimes;
  readonly #quick: MergeThread;
  readonly #patient: MergeThread;
  readonly #heavy = new Map<RecordKey, Heavy>();
  /** Records whose turn has not come; their changes are read again when it has. */
  readonly #queue = new Set<RecordKey>();
  readonly #pauses = new Set<Timer>();
  readonly #listeners: ((key: RecordKey) => void)[] = [];
  readonly #roomListeners: (() => void)[] = [];
  readonly #most: number;
  /** A record waits that was not remembered. */
  #isOverfull = false;
  #next: Timer | undefined;
  #busy = false;
  #stopped = false;
  /** Quick merges that are no longer waited for and have no answer yet. */
  #late = 0;

  constructor({ env, start, onAlarm, times = TIMES, remembered = HEAVY }: MergerParts) {
    this.#most = remembered;
    this.#env = env;
    this.#onAlarm = onAlarm;
    this.#times = times;
    this.#quick = new MergeThread(env, start);
    this.#patient = new MergeThread(env, start);
  }

  async merge(key: RecordKey, input: MergeInput): Promise<Values | Unmerged> {
    const heavy = this.#heavy.get(key);
    if (this.#late === 0 && (heavy === undefined || heavy.isPutOff === true)) {
      this.#queue.delete(key);
      this.#heavy.delete(key);
      return this.#first(key, input, heavy?.since);
    }
    const known = heavy ?? this.#remember(key);
    if (heavy === undefined) known.isPutOff = true;
    const { done } = known;
    delete known.done;
    if (done?.id === input.id) {
      delete known.since;
      if (known.isLong !== true) this.#heavy.delete(key);
      return done.values;
    }
    known.since ??= this.#env.monotonic();
    if (this.#env.monotonic() - known.since > LASTING_MS) this.#onAlarm({ kind: 'merge-outstanding', key });
    void this.#patiently({ key, floor: input.floor }, input, known);
    return known.reason ?? 'in-progress';
  }

  onDue(listener: (key: RecordKey) => void): void {
    this.#listeners.push(listener);
  }

  onRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const pause of this.#pauses) pause.cancel();
    this.#next?.cancel();
    await Promise.all([this.#quick.stop(), this.#patient.stop()]);
  }

  /** The first attempt for a record; it is waited for while it is short, or while nothing would retry it. */
  async #first(key: RecordKey, input: MergeInput, since?: number): Promise<Values | Unmerged> {
    const quick = this.#quickly({ key, floor: input.floor }, input);
    const merged = this.#listeners.length === 0 ? await quick : await this.#soon(quick);
    if (merged !== undefined && typeof merged === 'object') return merged;
    if (this.#listeners.length === 0) return merged ?? 'failed';
    const known = this.#remember(key, since);
    if (merged === undefined) void this.#lateOne(key, input, known, quick);
    else {
      known.reason = merged;
      void this.#patiently({ key, floor: input.floor }, input, known);
    }
    return known.reason ?? 'in-progress';
  }

  async #lateOne(
    key: RecordKey,
    input: MergeInput,
    known: Heavy,
    quick: Promise<Values | Unmerged>,
  ): Promise<void> {
    known.isPaused = true;
    this.#late++;
    const merged = await quick;
    this.#late--;
    known.isPaused = false;
    if (typeof merged === 'object') known.done = { id: input.id, values: merged };
    else known.reason = merged;
    this.#due(key);
    if (this.#late > 0) return;
    const putOff = [...this.#queue].filter((waiting) => this.#heavy.get(waiting)?.isPutOff === true);
    for (const waiting of putOff) this.#due(waiting);
  }

  /** The answer when it comes soon. */
  async #soon<T>(answer: Promise<T>): Promise<T | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#env.after(this.#times.waitMs, () => resolve(undefined), { holds: true });
    try {
      return await Promise.race([answer, late]);
    } finally {
      timer.cancel();
    }
  }

  #remember(key: RecordKey, since = this.#env.monotonic()): Heavy {
    const [oldest] = this.#heavy.keys();
    if (this.#heavy.size >= this.#most && oldest !== undefined) this.#heavy.delete(oldest);
    const known: Heavy = { attempts: 0, since };
    this.#heavy.set(key, known);
    return known;
  }

  /** A worker that dies may have been ended by somebody, or by its neighbour's record: it is tried once more, the time is not. */
  async #quickly(question: MergeQuestion, { changes }: MergeInput): Promise<Values | Unmerged> {
    for (let tries = 0; tries < 2 && !this.#stopped; tries++) {
      try {
        return await this.#quick.ask(question, changes, this.#times.quickMs);
      } catch (error) {
        if (this.#failed(question.key, error) === 'deadline') return 'deadline';
      }
    }
    return 'failed';
  }

  async #patiently(question: MergeQuestion, { changes, id }: MergeInput, heavy: Heavy): Promise<void> {
    const { key } = question;
    if (this.#stopped || heavy.isPaused === true) return;
    if (this.#busy) {
      if (this.#queue.size < this.#most) this.#queue.add(key);
      else this.#isOverfull = true;
      return;
    }
    this.#busy = true;
    delete heavy.isPutOff;
    const started = this.#env.monotonic();
    const time = Math.min(this.#times.patientMs * 4 ** heavy.attempts, MOST.patientMs);
    try {
      heavy.done = { id, values: await this.#patient.ask(question, changes, time) };
      heavy.attempts = 0;
      delete heavy.reason;
      heavy.isLong = this.#env.monotonic() - started > this.#times.quickMs;
      this.#due(key);
    } catch (error) {
      heavy.reason = this.#failed(key, error);
      heavy.attempts++;
      if (heavy.attempts >= LASTING && !this.#stopped) this.#onAlarm({ kind: 'merge-outstanding', key });
      this.#pause(key, heavy);
    } finally {
      this.#busy = false;
    }
    this.#goOn();
  }

  /** The next in the queue has its turn. It may need none any more: then the one behind it has, a pause later. */
  #goOn(): void {
    if (this.#busy || this.#stopped) return;
    const [next] = this.#queue;
    if (next === undefined) return this.#hasRoom();
    this.#queue.delete(next);
    this.#due(next);
    this.#next?.cancel();
    this.#next = this.#env.after(this.#times.pauseMs, () => this.#goOn());
  }

  #after(ms: number, then: () => void): void {
    const timer = this.#env.after(ms, () => {
      this.#pauses.delete(timer);
      then();
    });
    this.#pauses.add(timer);
  }

  #pause(key: RecordKey, heavy: Heavy): void {
    if (this.#stopped) return;
    const ms = Math.min(this.#times.pauseMs * 4 ** (heavy.attempts - 1), MOST.pauseMs);
    heavy.isPaused = true;
    this.#after(ms, () => {
      heavy.isPaused = false;
      this.#due(key);
    });
  }

  /** Not at once: while no worker lives, each of those would be tried anew. */
  #hasRoom(): void {
    if (!this.#isOverfull || this.#stopped) return;
    this.#isOverfull = false;
    this.#after(this.#times.pauseMs * ROOM_PAUSES, () => {
      for (const listener of this.#roomListeners) listener();
    });
  }

  #due(key: RecordKey): void {
    if (!this.#stopped) for (const listener of this.#listeners) listener(key);
  }

  #failed(key: RecordKey, error: unknown): Unmerged {
    const isSlow = errorCode(error) === 'merge-deadline';
    if (!this.#stopped) this.#onAlarm({ kind: isSlow ? 'merge-deadline' : 'merge-failed', key });
    return isSlow ? 'deadline' : 'failed';
  }
}
