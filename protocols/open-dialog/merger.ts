import { crc32 } from 'node:zlib';
import { errorCode } from '../errors.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Judgement } from './judge.ts';
import { type Merged, MergeThread, type StartWorker, startWorker } from './merge-thread.ts';
import type { MergeQuestion } from './merge-worker.ts';
import type { Membership, PlacedOp } from './record.ts';

/** Alarms of the merging worker; `merge-outstanding` says that a record has waited through several tries. */
export type MergeAlarm = {
  readonly kind: 'merge-deadline' | 'merge-failed' | 'merge-differs' | 'merge-outstanding';
  readonly key: string;
};

/** Judges one record with all its ops, off the main thread. */
export interface Judge {
  /**
   * Undefined when it could not be done now: the judgement is outstanding. With an `actor` the answer holds what a change of that
   * actor can be drafted on, where the state alone does not.
   */
  judge(
    key: RecordKey,
    ops: readonly PlacedOp[],
    channelMembers: Membership | undefined,
    actor?: string,
  ): Promise<Omit<Judgement, 'changes'> | undefined>;
}

export interface Merger extends Judge {
  /** Told of a record whose outstanding judgement is to be asked for again. */
  onDue(listener: (key: RecordKey) => void): void;
  stop(): Promise<void>;
}

/** Times in milliseconds. A test has shorter ones. */
export interface MergeTimes {
  /** Whoever asks waits as long for the first try, and with him the writes behind him. */
  readonly quickMs: number;
  /** The first try that nobody waits for; each further one has four times as long, because a record can really be that large. */
  readonly patientMs: number;
  /** Before the second patient try; each further pause is four times as long. */
  readonly pauseMs: number;
}

const TIMES: MergeTimes = { quickMs: 5_000, patientMs: 40_000, pauseMs: 1_000 };
const MOST = { patientMs: 640_000, pauseMs: 600_000 } as const;
/** Failed patient tries from which on the operator is told. */
const LASTING = 3;
/** Records remembered as needing patience; the others are tried quickly first. */
const HEAVY = 10_000;

interface Heavy {
  attempts: number;
  /** Its next try has its time, whatever comes meanwhile. */
  isPaused?: boolean;
  /** Its last judgement took longer than anybody waits. */
  isLong?: boolean;
  done?: { readonly id: string; readonly judgement: Omit<Judgement, 'changes'> };
}

/**
 * The slow road: judges a record with all its ops and merges what counts with Automerge, in workers that can be terminated. The work
 * never comes back to the main thread: what a worker does not do in a moment, or dies of, is outstanding. One record at a time is then
 * tried again in a second worker with more time, and after a pause when that fails too. The state of a record never depends on it,
 * only when it is known.
 */
export function createMerger(
  onAlarm: (alarm: MergeAlarm) => void,
  start: StartWorker = startWorker,
  times: MergeTimes = TIMES,
): Merger {
  return new Mergers(onAlarm, start, times);
}

class Mergers implements Merger {
  readonly #onAlarm: (alarm: MergeAlarm) => void;
  readonly #times: MergeTimes;
  readonly #quick: MergeThread;
  readonly #patient: MergeThread;
  readonly #heavy = new Map<RecordKey, Heavy>();
  /** Records whose turn has not come; their ops are read again when it has. */
  readonly #queue = new Set<RecordKey>();
  readonly #pauses = new Set<NodeJS.Timeout>();
  readonly #listeners: ((key: RecordKey) => void)[] = [];
  #busy = false;
  #stopped = false;

  constructor(onAlarm: (alarm: MergeAlarm) => void, start: StartWorker, times: MergeTimes) {
    this.#onAlarm = onAlarm;
    this.#times = times;
    this.#quick = new MergeThread(start);
    this.#patient = new MergeThread(start);
  }

  async judge(
    key: RecordKey,
    ops: readonly PlacedOp[],
    members: Membership | undefined,
    actor?: string,
  ): Promise<Omit<Judgement, 'changes'> | undefined> {
    const question = { key, members, actor };
    const heavy = this.#heavy.get(key);
    if (heavy === undefined || actor !== undefined) {
      const judgement = await this.#quickly(question, ops);
      if (judgement !== undefined || actor !== undefined) return judgement;
      // Nobody would ask again: a write of this node's own is refused instead.
      if (this.#listeners.length === 0) return undefined;
      const [oldest] = this.#heavy.keys();
      if (this.#heavy.size >= HEAVY && oldest !== undefined) this.#heavy.delete(oldest);
    }
    const known = heavy ?? { attempts: 0 };
    this.#heavy.set(key, known);
    const id = idOf(ops, members);
    const { done } = known;
    delete known.done;
    if (done?.id === id) {
      if (known.isLong !== true) this.#heavy.delete(key);
      return done.judgement;
    }
    void this.#patiently(question, ops, known, id);
    return undefined;
  }

  onDue(listener: (key: RecordKey) => void): void {
    this.#listeners.push(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const pause of this.#pauses) clearTimeout(pause);
    await Promise.all([this.#quick.stop(), this.#patient.stop()]);
  }

  /** A worker that dies may have been ended by somebody, or by its neighbour's record: it is tried once more, the time is not. */
  async #quickly(
    question: MergeQuestion,
    ops: readonly PlacedOp[],
  ): Promise<Omit<Judgement, 'changes'> | undefined> {
    for (let tries = 0; tries < 2 && !this.#stopped; tries++) {
      try {
        return this.#told(question, await this.#quick.ask(question, ops, this.#times.quickMs));
      } catch (error) {
        if (this.#failed(question.key, error) === 'merge-deadline') return undefined;
      }
    }
    return undefined;
  }

  async #patiently(
    question: MergeQuestion,
    ops: readonly PlacedOp[],
    heavy: Heavy,
    id: string,
  ): Promise<void> {
    const { key } = question;
    if (this.#stopped || heavy.isPaused === true) return;
    if (this.#busy) {
      if (this.#queue.size < HEAVY) this.#queue.add(key);
      return;
    }
    this.#busy = true;
    const started = performance.now();
    const time = Math.min(this.#times.patientMs * 4 ** heavy.attempts, MOST.patientMs);
    try {
      heavy.done = { id, judgement: this.#told(question, await this.#patient.ask(question, ops, time)) };
      heavy.attempts = 0;
      heavy.isLong = performance.now() - started > this.#times.quickMs;
      this.#due(key);
    } catch (error) {
      this.#failed(key, error);
      heavy.attempts++;
      if (heavy.attempts >= LASTING && !this.#stopped) this.#onAlarm({ kind: 'merge-outstanding', key });
      this.#pause(key, heavy);
    } finally {
      this.#busy = false;
    }
    const [next] = this.#queue;
    if (next === undefined) return;
    this.#queue.delete(next);
    this.#due(next);
  }

  #pause(key: RecordKey, heavy: Heavy): void {
    if (this.#stopped) return;
    const ms = Math.min(this.#times.pauseMs * 4 ** (heavy.attempts - 1), MOST.pauseMs);
    heavy.isPaused = true;
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      heavy.isPaused = false;
      this.#due(key);
    }, ms);
    pause.unref();
    this.#pauses.add(pause);
  }

  #due(key: RecordKey): void {
    if (!this.#stopped) for (const listener of this.#listeners) listener(key);
  }

  #told({ key }: MergeQuestion, { judgement, differs }: Merged): Omit<Judgement, 'changes'> {
    if (differs) this.#onAlarm({ kind: 'merge-differs', key });
    return judgement;
  }

  #failed(key: RecordKey, error: unknown): MergeAlarm['kind'] {
    const kind = errorCode(error) === 'merge-deadline' ? 'merge-deadline' : 'merge-failed';
    if (!this.#stopped) this.#onAlarm({ kind, key });
    return kind;
  }
}

/** Tells one set of ops of a record from another: an answer that comes late is that of the ops it was asked for. */
function idOf(ops: readonly PlacedOp[], members: Membership | undefined): string {
  let sum = 0;
  for (const { epoch, seq, index, bytes } of ops) {
    // The bytes too: an op that is not signed yet may stand where another stood that was refused.
    sum = (sum + crc32(bytes, crc32(`${epoch} ${seq} ${index}`))) % Number.MAX_SAFE_INTEGER;
  }
  return `${ops.length} ${sum} ${members?.nonce ?? ''}`;
}
