/** All that is under way, so that a stop can wait for it. */
export class OpenWork {
  readonly #open = new Set<Promise<unknown>>();

  /** The same work, which `done` waits for. */
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
}
