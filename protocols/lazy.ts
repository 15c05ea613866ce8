/** A value read at its first use and kept; a failed read is repeated at the next use. */
export class Lazy<T> {
  readonly #read: () => Promise<T>;
  #reading: Promise<T> | undefined;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  get isAsked(): boolean {
    return this.#reading !== undefined;
  }

  get(): Promise<T> {
    if (this.#reading !== undefined) return this.#reading;
    const reading = this.#read();
    this.#reading = reading;
    reading.catch(() => {
      if (this.#reading === reading) this.#reading = undefined;
    });
    return reading;
  }

  clear(): void {
    this.#reading = undefined;
  }
}
