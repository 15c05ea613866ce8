import { hash } from 'node:crypto';
import { sha256Hex } from '../wire/bytes.ts';

/**
 * A homomorphic set hash: elements go in and out in any order at the cost of one SHAKE-128, and equal sets have equal
 * sums. LtHash16 with 1,024 lanes (Bellare and Micciancio 1997; Lewi et al., "Securing Update Propagation with
 * Homomorphic Hashing", 2019), with SHAKE-128 in place of BLAKE2Xb.
 */
export const LTHASH_BYTES = 2048;

/** The hash of the empty set. */
export function emptySum(): Uint16Array {
  return new Uint16Array(LTHASH_BYTES / 2);
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The lanes that stand in these bytes, little-endian on every machine: the bytes themselves wherever the machine reads them so. */
function lanesIn(bytes: Uint8Array): Uint16Array {
  if (LITTLE_ENDIAN && bytes.byteOffset % 2 === 0)
    return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const out = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
  return out;
}

function lanesOf(element: string): Uint16Array {
  return lanesIn(hash('shake128', element, { outputEncoding: 'buffer', outputLength: LTHASH_BYTES }));
}

/** Puts an element in (in place). */
export function addElement(sum: Uint16Array, element: string): void {
  const add = lanesOf(element);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (add[i] ?? 0);
}

/** Takes an element out (in place). */
export function removeElement(sum: Uint16Array, element: string): void {
  const remove = lanesOf(element);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) - (remove[i] ?? 0);
}

/** Little-endian bytes of the sum. */
export function sumBytes(sum: Uint16Array): Uint8Array {
  if (LITTLE_ENDIAN) return new Uint8Array(sum.buffer, sum.byteOffset, LTHASH_BYTES).slice();
  const out = new Uint8Array(LTHASH_BYTES);
  sum.forEach((lane, i) => {
    out[2 * i] = lane & 0xff;
    out[2 * i + 1] = lane >> 8;
  });
  return out;
}

export function sumFrom(bytes: Uint8Array): Uint16Array {
  const out = emptySum();
  out.set(lanesIn(bytes.subarray(0, LTHASH_BYTES)));
  return out;
}

/** What is shown of a sum: SHA-256 of its bytes, hex. */
export function sumDigest(sum: Uint16Array): string {
  return sha256Hex(sumBytes(sum));
}
