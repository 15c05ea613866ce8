/** A number that a writer cannot encode, or that a reader finds malformed. */
export class NumberBytesError extends RangeError {}

/** Bytes that one number takes at most. */
const LONGEST = 8;
const GROW = 4096;

/**
 * Numbers as bytes: integers in groups of seven bits, least significant first, all but the last with the high bit set; each number
 * has one encoding. Throws `NumberBytesError` for anything but a safe, non-negative integer.
 */
export class NumberWriter {
  #bytes = Buffer.allocUnsafe(GROW);
  #at = 0;

  /** Begins again; what was written before has to be copied first. */
  begin(): void {
    this.#at = 0;
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(this.#at + size + GROW);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  /** Keeps two bytes free for a length; answers where. */
  place(): number {
    this.#room(2);
    this.#at += 2;
    return this.#at - 2;
  }

  /** Writes into a place how many bytes have come behind it. */
  lengthAt(place: number): void {
    const length = this.#at - place - 2;
    if (length > 0xffff) throw new NumberBytesError(`${length} bytes of numbers`);
    this.#bytes.writeUInt16BE(length, place);
  }

  whole(value: number): void {
    this.#room(LONGEST);
    if (value >= 0 && value < 0x80 && Number.isInteger(value)) {
      this.#bytes[this.#at++] = value;
      return;
    }
    if (!Number.isSafeInteger(value) || value < 0) throw new NumberBytesError(`${value} is no whole number`);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#at++] = rest;
  }

  /** Whole, negative ones too: 0, -1, 1, -2 are 0, 1, 2, 3. */
  signed(value: number): void {
    this.whole(value < 0 ? -value * 2 - 1 : value * 2);
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#bytes.writeDoubleBE(value, this.#at);
  }

  /** Bytes of a hexadecimal text of this many digits, in lower case: checked by the caller. */
  hex(text: string): void {
    this.#room(text.length / 2);
    this.#at += this.#bytes.write(text, this.#at, 'hex');
  }

  text(text: string): void {
    this.#room(text.length * 3);
    this.#at += this.#bytes.write(text, this.#at, 'utf8');
  }

  bytes(some: Uint8Array): void {
    this.#room(some.length);
    this.#bytes.set(some, this.#at);
    this.#at += some.length;
  }

  get length(): number {
    return this.#at;
  }

  /** A copy of what was written, with room behind it. */
  taken(room = 0): Buffer<ArrayBuffer> {
    const taken = Buffer.allocUnsafe(this.#at + room);
    this.#bytes.copy(taken, 0, 0, this.#at);
    return taken;
  }
}

/** Reads what `NumberWriter` wrote, and nothing else: throws `NumberBytesError` at the end, and for a second spelling of a number. */
export class NumberReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at = 0;

  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = from;
    this.#end = end;
  }

  /** What `lengthAt` has set off, and the text after it. */
  split(): { readonly numbers: NumberReader; readonly text: string } {
    const from = this.skip(2) + 2;
    const end = from + this.#bytes.readUInt16BE(from - 2);
    if (end > this.#end) throw new NumberBytesError('the bytes end too early');
    return { numbers: new NumberReader(this.#bytes, from, end), text: this.#text(end) };
  }

  isDone(): boolean {
    return this.#at === this.#end;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined || this.#at >= this.#end) throw new NumberBytesError('the bytes end too early');
    this.#at++;
    return value;
  }

  whole(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let factor = 0x80; ; factor *= 0x80) {
      const next = this.byte();
      value += (next & 0x7f) * factor;
      if (!Number.isSafeInteger(value)) throw new NumberBytesError('a number is too large');
      if (next >= 0x80) continue;
      if (next === 0) throw new NumberBytesError('a number is longer than it has to be');
      return value;
    }
  }

  signed(): number {
    const value = this.whole();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.skip(8));
  }

  hex(size: number): string {
    const at = this.skip(size);
    return this.#bytes.toString('hex', at, at + size);
  }

  /** The bytes themselves, not a copy. */
  bytes(size: number): Buffer {
    const at = this.skip(size);
    return this.#bytes.subarray(at, at + size);
  }

  /** Leaves out so many bytes; answers where they begin. */
  skip(size: number): number {
    const at = this.#at;
    if (at + size > this.#end) throw new NumberBytesError('the bytes end too early');
    this.#at += size;
    return at;
  }

  #text(from: number): string {
    const text = this.#bytes.toString('utf8', from, this.#end);
    // Invalid UTF-8 has become a replacement character: bytes are compared only where there is one.
    if (text.includes('\u{fffd}') && !this.#bytes.subarray(from, this.#end).equals(Buffer.from(text)))
      throw new NumberBytesError('no UTF-8');
    return text;
  }
}
