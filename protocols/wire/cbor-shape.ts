/**
 * Containers in one another, at most: the deepest payload of this specification has five. Without a stated depth the verdict on a
 * deeper one would be that of the decoder's call stack, and so differ from node to node.
 */
export const CBOR_DEPTH = 16;

/**
 * What the heads alone show of some bytes: why they must not be decoded, or whether they are certainly canonical dag-cbor. Where
 * that is not certain (floats, tags, text beyond ASCII, integers outside the safe range, a key out of order), they have to be
 * decoded and encoded again.
 */
export type CborShape = { readonly problem: string } | { readonly canonical: boolean };

const CANONICAL: CborShape = { canonical: true };
const UNCERTAIN: CborShape = { canonical: false };

/**
 * Reads the heads of one CBOR item (RFC 8949, section 3) without building anything, in time linear in the bytes and without
 * recursion. Refused are items nested deeper than `CBOR_DEPTH`, with more than `items` values, with lengths beyond the bytes, or of
 * indefinite length.
 */
export function cborShape(bytes: Uint8Array, items: number = Infinity): CborShape {
  const outer: Container[] = [];
  let inside = new Container(1, false);
  let at = 0;
  let seen = 0;
  let certain = true;
  for (;;) {
    while (inside.left === 0) {
      const around = outer.pop();
      if (around === undefined) return certain && at === bytes.length ? CANONICAL : UNCERTAIN;
      inside = around;
    }
    if (at >= bytes.length) return { problem: 'ends early' };
    const initial = bytes[at] ?? 0;
    const major = initial >> 5;
    const info = initial & 31;
    if (info > 27) return { problem: 'an indefinite length or a reserved head' };
    const width = info < 24 ? 0 : 1 << (info - 24);
    const argument = width === 0 ? info : readArgument(bytes, at + 1, width);
    at += 1 + width;
    certain &&= isPlain(major, width, argument, initial);
    // A tag is followed by its item and does not count as one.
    if (major === TAG) continue;
    certain &&= !inside.wantsKey() || (major === TEXT && inside.isInOrder(bytes, at, argument));
    inside.left--;
    if (++seen > items) return { problem: `more than ${items} values` };
    if (major === BYTES || major === TEXT) {
      at += argument;
      if (at > bytes.length) return { problem: 'ends early' };
      certain &&= major === BYTES || isAscii(bytes, at - argument, at);
    } else if (major === ARRAY || major === MAP) {
      const children = major === MAP ? argument * 2 : argument;
      // Each value takes at least a byte, so a count beyond the bytes is false and refused before anything is built.
      if (children > bytes.length - at) return { problem: 'ends early' };
      if (outer.length >= CBOR_DEPTH) return { problem: `nested deeper than ${CBOR_DEPTH}` };
      outer.push(inside);
      inside = new Container(children, major === MAP);
    }
  }
}

const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const SIMPLE = 7;
const FALSE = 0xf4;
const NULL = 0xf6;

/** The smallest argument that needs a head of so many more bytes; a smaller one would have a shorter head. */
const SMALLEST: Readonly<Record<number, number>> = { 0: 0, 1: 24, 2: 0x1_00, 4: 0x1_0000, 8: 0x1_0000_0000 };

/** A head as the canonical encoder writes it, of a value whose only canonical form that is. */
function isPlain(major: number, width: number, argument: number, initial: number): boolean {
  if (major === TAG) return false;
  if (major === SIMPLE) return initial >= FALSE && initial <= NULL;
  // -1 - 2^53 + 1 is the smallest safe integer.
  const largest = major === NEGATIVE ? Number.MAX_SAFE_INTEGER - 1 : Number.MAX_SAFE_INTEGER;
  return argument >= (SMALLEST[width] ?? Infinity) && argument <= largest;
}

/** A list or a map that is being walked through. */
class Container {
  /** Items still to come; a map has two for each key. */
  left: number;
  readonly #isMap: boolean;
  #key = 0;
  #keyLength = -1;

  constructor(left: number, isMap: boolean) {
    this.left = left;
    this.#isMap = isMap;
  }

  wantsKey(): boolean {
    return this.#isMap && this.left % 2 === 0;
  }

  /**
   * Whether a key comes after the one before it: shorter keys first, then by their bytes. `__proto__` is not accepted as a plain
   * key.
   */
  isInOrder(bytes: Uint8Array, at: number, length: number): boolean {
    const [before, beforeLength] = [this.#key, this.#keyLength];
    this.#key = at;
    this.#keyLength = length;
    if (
      at + length > bytes.length ||
      (length === PROTO.length && PROTO.every((code, i) => bytes[at + i] === code))
    )
      return false;
    if (length !== beforeLength) return length > beforeLength;
    for (let i = 0; i < length; i++) {
      const more = (bytes[at + i] ?? 0) - (bytes[before + i] ?? 0);
      if (more !== 0) return more > 0;
    }
    return false;
  }
}

const PROTO = Array.from(Buffer.from('__proto__', 'latin1'));

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((bytes[i] ?? 0) > 0x7f) return false;
  return true;
}

/** A big-endian integer; beyond 2^53 only its size matters. */
function readArgument(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}
