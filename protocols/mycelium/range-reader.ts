import { RequestThread, type StartWorker } from '../request-thread.ts';
import type { Env } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import type { FeedName } from '../ledger/types.ts';
import { unpacked } from './packed-items.ts';
import { decodeRangeFrame } from './range-frame.ts';
import type { RangeItem } from './range-item.ts';
import type { Reading, ReadingRequest } from './range-readings.ts';

/** The real one is `daemon/reading/start-reading-worker.ts`. */
export type StartReadingWorker = StartWorker<ReadingRequest, Reading>;

/** Times in milliseconds, sizes in bytes. A test has others. */
export interface ReadingLimits {
  /** For one batch: the worst that a frame can hold is a second's work. */
  readonly answerMs: number;
  /** A worker that has nothing to read for this long is ended and releases its memory. */
  readonly keptMs: number;
  /** Shorter frames are read on this thread, op by op and in turns: passing them to another thread and back would take longer. */
  readonly smallFrame: number;
}

export const READING_LIMITS: ReadingLimits = {
  answerMs: 15_000,
  keptMs: 10_000,
  smallFrame: 4096,
};

/** A worker that died may have been ended by another frame; one that this frame ended twice is not tried again. */
const TRIES = 2;

export interface RangeReaderParts {
  readonly env: Pick<Env, 'after' | 'offload'>;
  readonly start: StartReadingWorker;
  readonly limits?: ReadingLimits;
}

/** Reads the frames of ranges. */
export class RangeReader {
  readonly #env: RangeReaderParts['env'];
  readonly #limits: ReadingLimits;
  readonly #thread: RequestThread<ReadingRequest, Reading>;
  #no = 0;
  #isStopped = false;

  constructor({ env, start, limits = READING_LIMITS }: RangeReaderParts) {
    this.#env = env;
    this.#limits = limits;
    this.#thread = new RequestThread({
      env,
      start,
      idle: { keptMs: limits.keptMs },
      failed: (how, cause) => new AgrinetError('reading-failed', `the reading worker ${how}`, { cause }),
    });
  }

  /** The contents of a frame, in batches. Throws `range-malformed`, and `reading-failed` when no worker could read it. */
  async *read(frame: Uint8Array, asked: FeedName): AsyncGenerator<readonly RangeItem[]> {
    if (frame.length < this.#limits.smallFrame) return yield await decodeRangeFrame(frame, this.#env.offload);
    const no = ++this.#no;
    for (let from: number | undefined = 0; from !== undefined;) {
      const answer: Reading = await this.#ask({ no, frame, asked, from });
      if ('refused' in answer) throw new AgrinetError(answer.refused, answer.why);
      yield unpacked(answer.batch);
      from = answer.next;
    }
  }

  async #ask(
    question: Omit<ReadingRequest, 'id' | 'frame'> & { readonly frame: Uint8Array },
  ): Promise<Reading> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#thread.ask(this.#limits.answerMs, overdue, (post, id) =>
          // A copy, because it goes over, and may have to once more.
          post({ ...question, frame: new Uint8Array(question.frame), id }),
        );
      } catch (error) {
        if (tries === TRIES || this.#isStopped || errorCode(error) !== 'reading-failed') throw error;
      }
    }
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.#thread.stop(new AgrinetError('reading-failed', 'the reading worker ended'));
  }
}

const overdue = (): AgrinetError => new AgrinetError('reading-failed', 'reading a range took too long');
