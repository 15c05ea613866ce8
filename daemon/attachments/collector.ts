import type { Env, Timer } from '../../protocols/env.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';

export interface CollectorParts {
  /** Drops what is due. */
  readonly collect: () => Promise<void>;
  readonly env: Pick<Env, 'after'>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

/** Between two looks at uploads that nobody has named in time, milliseconds: they have had a day. */
const EVERY_MS = 60 * 60_000;

/** Drops attachments that nothing names: soon after a commit says so, and once an hour those that nobody has named in time. */
export class Collector {
  readonly #parts: CollectorParts;
  readonly #queue = new SerialQueue();
  #isAsked = false;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Never throws; what fails is done again when writing goes on, or an hour later. */
  wake(): void {
    if (this.#isAsked || this.#isStopped) return;
    this.#isAsked = true;
    void this.#queue
      .run(async () => {
        this.#isAsked = false;
        await this.#parts.collect();
      })
      .catch((error: unknown) => {
        if (!this.#isStopped)
          this.#parts.log('attachments that nothing names are kept until writing goes on', { err: error });
      });
    this.#timer?.cancel();
    this.#timer = this.#parts.env.after(EVERY_MS, () => this.wake());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#queue.idle();
  }
}
