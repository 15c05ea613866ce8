/** Unsigned integers of seven bits a byte, the low ones first; a growing buffer to write them to. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(1024);
  length = 0;

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + more));
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }

  number(value: number): void {
    this.#room(8);
    let left = value;
    for (; left > 127; left = Math.floor(left / 128)) this.#bytes[this.length++] = (left % 128) | 128;
    this.#bytes[this.length++] = left;
  }

  bytes(some: Uint8Array): void {
    this.#room(some.length);
    this.#bytes.set(some, this.length);
    this.length += some.length;
  }

  /** What was written, as a copy; then it begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#bytes.subarray(0, this.length));
    this.length = 0;
    return taken;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  number(): number {
    let [value, unit] = [0, 1];
    for (;;) {
      const byte = this.#bytes[this.at++] ?? 0;
      value += (byte & 127) * unit;
      if (byte < 128) return value;
      unit *= 128;
    }
  }

  bytes(length: number): Uint8Array {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}
