/** Runs work one piece at a time, in the order of the calls. A failure goes to its caller and blocks nothing. */
export class SerialQueue {
  /** The end of all that was asked for. */
  #last: Promise<unknown> = Promise.resolve();
  /** The end of the last piece that runs alone. */
  #lastAlone: Promise<unknown> = Promise.resolve();
  #size = 0;

  /** What runs and what waits. */
  get size(): number {
    return this.#size;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#size++;
    const done = this.#last.then(work).finally(() => this.#size--);
    this.#last = done.catch(() => undefined); // told to whoever asked
    this.#lastAlone = this.#last;
    return done;
  }

  /** Runs work in parallel with other shared work, but never with exclusive work: after what was requested before, before the rest. */
  share<T>(work: () => Promise<T>): Promise<T> {
    this.#size++;
    const done = this.#lastAlone.then(work).finally(() => this.#size--);
    const ended = done.catch(() => undefined); // told to whoever asked
    this.#last = Promise.all([this.#last, ended]);
    return done;
  }

  /** Resolves when all that was asked for has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** One such queue for each key, for as long as anything is in it. */
export class KeyedQueue {
  readonly #queues = new Map<string, SerialQueue>();

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#keep(key, (queue) => queue.run(work));
  }

  /** See `SerialQueue.share`. */
  share<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#keep(key, (queue) => queue.share(work));
  }

  #keep<T>(key: string, ask: (queue: SerialQueue) => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? new SerialQueue();
    this.#queues.set(key, queue);
    const done = ask(queue);
    void queue.idle().then(() => {
      if (queue.size === 0) this.#queues.delete(key);
    });
    return done;
  }
}
