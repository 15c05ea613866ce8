import type { Op } from './op.ts';

/*
 * Nearly every op has texts of printable ASCII and a version below 24. Its five keys then stand in one order with heads of one
 * form, so that it is written and read without a general codec, at a tenth of the cost. What is not so is left to that.
 */

const MAP_OF_FIVE = 0xa5;
const TEXT = 0x60;
const BYTES = 0x40;
/** The largest number in the first byte of a head. */
const INLINE = 23;
/** A head, with the key before it. */
const LONGEST_HEAD = 7;
const PLAIN = /^[\x20-\x7e]*$/;

/** The keys in their canonical order, as the byte that each is. */
const [C, D, K, T, V] = [0x63, 0x64, 0x6b, 0x74, 0x76] as const;

/** The op in canonical dag-cbor; undefined when it is not plain. */
export function writePlainOp({ v, c, k, t, d }: Op): Uint8Array | undefined {
  if (!Number.isInteger(v) || v < 0 || v > INLINE || !PLAIN.test(c) || !PLAIN.test(k) || !PLAIN.test(t))
    return undefined;
  const out = Buffer.allocUnsafe(5 * LONGEST_HEAD + c.length + k.length + t.length + d.length);
  out[0] = MAP_OF_FIVE;
  let at = writeText(out, 1, C, c);
  at = writeHead(out, at, D, BYTES, d.length);
  out.set(d, at);
  at = writeText(out, at + d.length, K, k);
  at = writeText(out, at, T, t);
  at = writeHead(out, at, V, 0, v);
  return new Uint8Array(out.subarray(0, at));
}

function writeText(out: Buffer, at: number, key: number, text: string): number {
  const from = writeHead(out, at, key, TEXT, text.length);
  return from + out.write(text, from, 'latin1');
}

function writeHead(out: Buffer, at: number, key: number, major: number, length: number): number {
  out[at] = TEXT + 1;
  out[at + 1] = key;
  if (length <= INLINE) return out.writeUInt8(major + length, at + 2);
  if (length <= 0xff) return out.writeUInt8(length, out.writeUInt8(major + 24, at + 2));
  if (length <= 0xffff) return out.writeUInt16BE(length, out.writeUInt8(major + 25, at + 2));
  return out.writeUInt32BE(length, out.writeUInt8(major + 26, at + 2));
}

/** The op in these bytes, `d` a view of them; undefined when they are not exactly what `writePlainOp` gives. */
export function readPlainOp(bytes: Uint8Array): Op | undefined {
  if (bytes[0] !== MAP_OF_FIVE) return undefined;
  const from = new Cursor(bytes);
  const c = from.text(C);
  const d = from.bytes(D);
  const k = from.text(K);
  const t = from.text(T);
  const v = from.number(V);
  if (!from.isWhole || !PLAIN.test(c) || !PLAIN.test(k) || !PLAIN.test(t)) return undefined;
  return { v, c, k, t, d };
}

/** Reads through the bytes of an op; stops early at anything that is not plain. */
class Cursor {
  readonly #buffer: Buffer;
  #at = 1;
  #isPlain = true;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isWhole(): boolean {
    return this.#isPlain && this.#at === this.#buffer.length;
  }

  text(key: number): string {
    const from = this.#pass(this.#head(key, TEXT));
    return this.#buffer.toString('latin1', from, this.#at);
  }

  bytes(key: number): Uint8Array {
    const from = this.#pass(this.#head(key, BYTES));
    const { buffer, byteOffset } = this.#buffer;
    return new Uint8Array(buffer, byteOffset + from, this.#at - from);
  }

  /** A number in a CBOR head. */
  number(key: number): number {
    const value = this.#head(key, 0);
    return value <= INLINE ? value : this.#fail();
  }

  /** Goes past so many bytes; where they began. */
  #pass(length: number): number {
    const from = this.#at;
    if (from + length > this.#buffer.length) this.#fail();
    else this.#at += length;
    return from;
  }

  /** The number in the head of a key's value; 0 from the first that is not as it is to be. */
  #head(key: number, major: number): number {
    const [at, buffer] = [this.#at, this.#buffer];
    if (!this.#isPlain || buffer[at] !== TEXT + 1 || buffer[at + 1] !== key) return this.#fail();
    const info = (buffer[at + 2] ?? 0) - major;
    if (info >= 0 && info <= INLINE) return this.#number(3, info, 0);
    if (info === 24 && at + 4 <= buffer.length) return this.#number(4, buffer.readUInt8(at + 3), INLINE + 1);
    if (info === 25 && at + 5 <= buffer.length) return this.#number(5, buffer.readUInt16BE(at + 3), 0x1_00);
    return this.#fail();
  }

  /** A shorter head would be required for numbers below `least`. */
  #number(head: number, value: number, least: number): number {
    this.#at += head;
    return value < least ? this.#fail() : value;
  }

  #fail(): 0 {
    this.#isPlain = false;
    return 0;
  }
}
