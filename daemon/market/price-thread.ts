import { RequestThread, type StartWorker } from '../../protocols/request-thread.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { PriceAnswers, PriceQuestion } from './price-questions.ts';

export interface NumberedQuestion {
  readonly id: number;
  readonly question: PriceQuestion;
}
export type PriceReply =
  | { readonly answer: PriceAnswers[PriceQuestion['ask']] }
  | { readonly failed: string };

/** Starts a thread, or a substitute, that holds prices. The rows of a question are transferred. */
export type StartPriceWorker = StartWorker<NumberedQuestion, PriceReply>;

export interface PriceThreadParts {
  readonly start: StartPriceWorker;
  readonly env: Pick<Env, 'after'>;
  /** All rows of prices, packed (`packed-rows.ts`). */
  readonly rows: () => Rows;
  /** All rows of listings, likewise. */
  readonly listings: () => Rows;
  /** Another text when a price has come or gone. */
  readonly state: () => string;
  /** Told of rows that are damaged. */
  readonly onDamaged: (keys: readonly RecordKey[]) => Promise<unknown>;
  /** The thread has ended, or was ended because it missed its deadline; the next question begins another. */
  readonly onLost: (error: AgrinetError) => void;
}
type Rows = AsyncIterable<Uint8Array<ArrayBuffer>>;

/** What the thread holds: the prices of one state of the node. */
export interface Held extends Readonly<PriceAnswers['taken']> {
  readonly state: string;
}

/** How long the prices are kept in memory after the last question, milliseconds. */
const KEPT_MS = 60_000;

/** To take some rows: milliseconds, on any machine that keeps up at all. */
const TAKE_MS = 60_000;
/** Time to compute: a million prices take seconds, or a minute on the smallest machines. */
const COUNT_MS = 10 * 60_000;

/** Of questions of the caller's. */
type Asked = Exclude<PriceQuestion, { readonly ask: 'take' | 'taken' | 'count' | 'counted' }>;

/**
 * Asks a thread of its own, which it fills with the prices of this node first. One question at a time; the thread ends when it is asked
 * nothing. Throws `busy` when it dies or takes too long.
 */
export class PriceThread {
  readonly #parts: PriceThreadParts;
  readonly #questions = new SerialQueue();
  readonly #thread: RequestThread<NumberedQuestion, PriceReply>;
  #held: Held | undefined;

  constructor(parts: PriceThreadParts) {
    this.#parts = parts;
    this.#thread = new RequestThread({
      env: parts.env,
      start: parts.start,
      failed: (how, cause) =>
        new AgrinetError('busy', `the thread that computes trends ${how}; try again`, { cause }),
      onLost: (error) => {
        this.#held = undefined;
        parts.onLost(error);
      },
      idle: { keptMs: KEPT_MS, onEnd: () => (this.#held = undefined) },
    });
  }

  /** Answers about the current prices. */
  ask<Q extends Asked>(
    question: Q,
  ): Promise<{ readonly answer: PriceAnswers[Q['ask']]; readonly held: Held }> {
    return this.#inTurn(async () => {
      const held = await this.#fill();
      return { answer: await this.#post(question), held };
    });
  }

  /** Counts the listings of now. */
  listings(): Promise<PriceAnswers['counted']> {
    return this.#inTurn(async () => {
      await this.#give('count', this.#parts.listings());
      return this.#post({ ask: 'counted' });
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#thread.keep(() => this.#questions.run(work));
  }

  async #fill(): Promise<Held> {
    const { state, rows } = this.#parts;
    const now = state();
    if (this.#held?.state === now) return this.#held;
    await this.#end();
    await this.#give('take', rows());
    return (this.#held = { ...(await this.#post({ ask: 'taken' })), state: now });
  }

  /** The next rows are read while these are being taken. */
  async #give(ask: 'take' | 'count', rows: Rows): Promise<void> {
    let under: Promise<readonly RecordKey[]> = Promise.resolve([]);
    const took = async (): Promise<void> => {
      const damaged = await under;
      if (damaged.length > 0) await this.#parts.onDamaged(damaged);
    };
    for await (const some of rows) {
      await took();
      under = this.#post({ ask, rows: some });
      under.catch(() => undefined); // told when it is asked for
    }
    await took();
  }

  async #post<Q extends PriceQuestion>(question: Q): Promise<PriceAnswers[Q['ask']]> {
    const told = await this.#thread.ask(
      'rows' in question ? TAKE_MS : COUNT_MS,
      () => new AgrinetError('busy', 'computing trends took too long; try again later'),
      (post, id) => post({ id, question }),
    );
    if ('failed' in told) throw new AgrinetError('internal', `trends: ${told.failed}`);
    return told.answer as PriceAnswers[Q['ask']]; // it has the question's number
  }

  async #end(): Promise<void> {
    this.#held = undefined;
    await this.#thread.end(new AgrinetError('busy', 'the thread that counts prices has ended; try again'));
  }

  async stop(): Promise<void> {
    this.#held = undefined;
    await this.#thread.stop(new AgrinetError('stopping', 'the node is stopping'));
  }
}
