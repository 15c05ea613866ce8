import { AgrinetError } from './errors.ts';

/** All work in progress of a part, so that its stop can wait for it and none of it remains afterwards. */
export class OpenWork {
  readonly #open = new Set<Promise<unknown>>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Begins work that somebody asks for. After a stop it rejects with `stopping`, and nothing is begun. */
  begin<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new AgrinetError('stopping', 'the node is stopping'));
    return this.note(work());
  }

  /** The same work, which `done` and `close` wait for: part of what has begun, so it may come after a stop. */
  note<T>(work: Promise<T>): Promise<T> {
    const ended = work.then(
      () => undefined,
      () => undefined, // told to whoever asked for the work
    );
    this.#open.add(ended);
    void ended.then(() => this.#open.delete(ended));
    return work;
  }

  /** Resolves when all has ended that was under way. */
  async done(): Promise<void> {
    await Promise.all(this.#open);
  }

  /** From now on nothing begins; resolves when all has ended, with what that was part of. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#open.size > 0) await this.done();
  }
}
