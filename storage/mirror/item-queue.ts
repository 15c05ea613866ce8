/** Work on items: on the same one in order, on others side by side. */
export class ItemQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Behind what was asked for this item before, however that ended. */
  run<T>(item: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#last.get(item) ?? Promise.resolve()).then(work);
    const ended = result.catch(() => undefined); // told to whoever asked
    this.#last.set(item, ended);
    void ended.then(() => {
      if (this.#last.get(item) === ended) this.#last.delete(item);
    });
    return result;
  }
}
