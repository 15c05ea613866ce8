/** Beyond so many chunks, short ones are copied together: a megabyte in single bytes is otherwise a hundred megabytes of objects. */
const MANY = 64;
const SMALL = 1024;
const BLOCK = 4096;

/** Bytes as they arrive, in whatever pieces, and as they are taken: each byte is copied at most twice however short the pieces. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  /** Into the first chunk. */
  #offset = 0;
  /** Bytes of the last chunk that are used when it is a block for small pieces; -1 otherwise. */
  #filled = -1;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (bytes.length >= SMALL || this.#chunks.length < MANY) {
      this.#trimLast();
      this.#chunks.push(bytes);
      return;
    }
    for (let rest = bytes; rest.length > 0;) {
      if (this.#filled < 0 || this.#filled === BLOCK) {
        this.#trimLast();
        this.#chunks.push(new Uint8Array(BLOCK));
        this.#filled = 0;
      }
      const part = rest.subarray(0, BLOCK - this.#filled);
      this.#chunks.at(-1)?.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** The byte at a place, without taking it; undefined behind the end. For a few places at the start. */
  at(place: number): number | undefined {
    if (place >= this.#length) return undefined;
    let at = this.#offset + place;
    for (const chunk of this.#chunks) {
      if (at < chunk.length) return chunk[at];
      at -= chunk.length;
    }
    return undefined;
  }

  /** The first bytes in memory of their own, taken off. Fewer must not be there. */
  take(length: number): Uint8Array {
    if (length > this.#length) throw new RangeError('took more than was queued');
    const out = new Uint8Array(length);
    let taken = 0;
    let used = 0;
    while (taken < length) {
      const chunk = this.#chunks[used];
      if (chunk === undefined) break;
      const part = chunk.subarray(this.#offset, this.#offset + length - taken);
      out.set(part, taken);
      taken += part.length;
      this.#offset += part.length;
      if (this.#offset < chunk.length) break;
      used++;
      this.#offset = 0;
    }
    this.#chunks.splice(0, used);
    this.#length -= length;
    if (this.#length === 0) this.clear();
    return out;
  }

  clear(): void {
    this.#chunks = [];
    this.#offset = 0;
    this.#filled = -1;
    this.#length = 0;
  }

  /** The last block ends where it is filled. */
  #trimLast(): void {
    const last = this.#chunks.at(-1);
    if (this.#filled >= 0 && last !== undefined)
      this.#chunks[this.#chunks.length - 1] = last.subarray(0, this.#filled);
    this.#filled = -1;
  }
}
