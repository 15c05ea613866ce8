import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { PriceAnswers, PriceQuestion } from './price-questions.ts';

export interface NumberedQuestion {
  readonly no: number;
  readonly question: PriceQuestion;
}
export type NumberedAnswer =
  | { readonly no: number; readonly answer: PriceAnswers[PriceQuestion['ask']] }
  | { readonly no: number; readonly failed: string };

/** A thread, or what stands in for one, that holds prices. */
export interface PriceWorker {
  /** The rows of a question are given away. */
  post(numbered: NumberedQuestion): void;
  end(): Promise<void>;
}
export interface PriceWorkerEvents {
  readonly answer: (answer: NumberedAnswer) => void;
  /** It is no longer there. */
  readonly gone: (cause?: unknown) => void;
}
export type StartPriceWorker = (events: PriceWorkerEvents) => PriceWorker;

export interface PriceThreadParts {
  readonly start: StartPriceWorker;
  readonly env: Pick<Env, 'after'>;
  /** All rows of prices, packed (`packed-rows.ts`). */
  readonly rows: () => AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** Another text when a price has come or gone. */
  readonly state: () => string;
  /** Told of rows that are damaged. */
  readonly onDamaged: (keys: readonly RecordKey[]) => Promise<unknown>;
}

/** What the thread holds: the prices of one state of the node. */
export interface Held extends Readonly<PriceAnswers['taken']> {
  readonly state: string;
}

/** How long the prices are kept in memory after the last question, milliseconds. */
const KEPT_MS = 60_000;

interface Waiting {
  readonly resolve: (answer: NumberedAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** Asks a thread of its own, which it fills with the prices of this node first. One question at a time; the thread ends when it is asked nothing. */
export class PriceThread {
  readonly #parts: PriceThreadParts;
  readonly #questions = new SerialQueue();
  readonly #waiting = new Map<number, Waiting>();
  #worker: PriceWorker | undefined;
  #held: Held | undefined;
  #no = 0;
  #idle: Timer | undefined;
  #stopped = false;

  constructor(parts: PriceThreadParts) {
    this.#parts = parts;
  }

  /** What is answered about the prices of now. */
  async ask<Q extends Exclude<PriceQuestion, { readonly ask: 'take' | 'taken' }>>(
    question: Q,
  ): Promise<{ readonly answer: PriceAnswers[Q['ask']]; readonly held: Held }> {
    this.#idle?.cancel();
    const asked = this.#questions.run(async () => {
      const held = await this.#fill();
      return { answer: await this.#post(question), held };
    });
    try {
      return await asked;
    } finally {
      if (this.#questions.size === 0) this.#idle = this.#parts.env.after(KEPT_MS, () => void this.#end());
    }
  }

  async #fill(): Promise<Held> {
    const { state, rows, onDamaged } = this.#parts;
    const now = state();
    if (this.#held?.state === now) return this.#held;
    await this.#end();
    let under: Promise<readonly RecordKey[]> = Promise.resolve([]);
    const took = async (): Promise<void> => {
      const damaged = await under;
      if (damaged.length > 0) await onDamaged(damaged);
    };
    // The next rows are read while these are being taken.
    for await (const some of rows()) {
      await took();
      under = this.#post({ ask: 'take', rows: some });
      under.catch(() => undefined); // told when it is asked for
    }
    await took();
    return (this.#held = { ...(await this.#post({ ask: 'taken' })), state: now });
  }

  async #post<Q extends PriceQuestion>(question: Q): Promise<PriceAnswers[Q['ask']]> {
    if (this.#stopped) throw new AgrinetError('stopping', 'the node is stopping');
    const no = ++this.#no;
    const worker = (this.#worker ??= this.#begin());
    const told = await new Promise<NumberedAnswer>((resolve, reject) => {
      this.#waiting.set(no, { resolve, reject });
      worker.post({ no, question });
    });
    if ('failed' in told) throw new AgrinetError('internal', `trends: ${told.failed}`);
    return told.answer as PriceAnswers[Q['ask']]; // it has the question's number
  }

  #begin(): PriceWorker {
    const worker = this.#parts.start({
      answer: (told) => {
        this.#waiting.get(told.no)?.resolve(told);
        this.#waiting.delete(told.no);
      },
      gone: (cause) => {
        if (this.#worker !== worker) return;
        this.#worker = undefined;
        this.#held = undefined;
        for (const { reject } of this.#waiting.values())
          reject(new AgrinetError('busy', 'the thread that counts prices has ended; try again', { cause }));
        this.#waiting.clear();
      },
    });
    return worker;
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#held = undefined;
    await worker?.end();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#idle?.cancel();
    const worker = this.#worker;
    for (const { reject } of this.#waiting.values())
      reject(new AgrinetError('stopping', 'the node is stopping'));
    this.#waiting.clear();
    await this.#end();
    await worker?.end();
  }
}
