/**
 * Containers in one another, at most: the deepest payload of this specification has five. Without a stated depth the verdict on a
 * deeper one would be that of the decoder's call stack, and so differ from node to node.
 */
export const CBOR_DEPTH = 16;

/**
 * Walks the heads of one CBOR item (RFC 8949, section 3) without building anything, in time linear in the bytes and without recursion.
 * Returns what makes it unfit to be decoded: nested deeper than `CBOR_DEPTH`, more than `items` values in it, lengths
 * beyond the bytes, indefinite lengths. What it lets pass the decoder still has to judge.
 */
export function shapeProblem(bytes: Uint8Array, items: number = Infinity): string | undefined {
  const open: number[] = [];
  let left = 1;
  let at = 0;
  let seen = 0;
  for (;;) {
    while (left === 0) {
      const outer = open.pop();
      if (outer === undefined) return undefined;
      left = outer;
    }
    if (at >= bytes.length) return 'ends early';
    const initial = bytes[at] ?? 0;
    const major = initial >> 5;
    const info = initial & 31;
    if (info > 27) return 'an indefinite length or a reserved head';
    const width = info < 24 ? 0 : 1 << (info - 24);
    const argument = width === 0 ? info : readArgument(bytes, at + 1, width);
    at += 1 + width;
    // A tag is followed by the item that it is about, and is none itself.
    if (major === TAG) continue;
    left--;
    if (++seen > items) return `more than ${items} values`;
    if (major === BYTES || major === TEXT) {
      at += argument;
      if (at > bytes.length) return 'ends early';
    } else if (major === ARRAY || major === MAP) {
      const children = major === MAP ? argument * 2 : argument;
      // Each value takes a byte at least: a count beyond the bytes is a lie, told before anything is made of it.
      if (children > bytes.length - at) return 'ends early';
      if (open.length >= CBOR_DEPTH) return `nested deeper than ${CBOR_DEPTH}`;
      open.push(left);
      left = children;
    }
  }
}

const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;

/** A big-endian integer; beyond 2^53 only its size matters. */
function readArgument(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}
