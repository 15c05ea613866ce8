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

function lanes(element: string): Uint16Array {
  const bytes = hash('shake128', element, { outputEncoding: 'buffer', outputLength: LTHASH_BYTES });
  const out = new Uint16Array(LTHASH_BYTES / 2);
  // Little-endian on every machine.
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
  return out;
}

/** Puts an element in (in place). */
export function addElement(sum: Uint16Array, element: string): void {
  const add = lanes(element);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (add[i] ?? 0);
}

/** Takes an element out (in place). */
export function removeElement(sum: Uint16Array, element: string): void {
  const remove = lanes(element);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) - (remove[i] ?? 0);
}

/** Little-endian bytes of the sum. */
export function sumBytes(sum: Uint16Array): Uint8Array {
  const out = new Uint8Array(LTHASH_BYTES);
  sum.forEach((lane, i) => {
    out[2 * i] = lane & 0xff;
    out[2 * i + 1] = lane >> 8;
  });
  return out;
}

export function sumFrom(bytes: Uint8Array): Uint16Array {
  const out = emptySum();
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
  return out;
}

/** What is shown of a sum: SHA-256 of its bytes, hex. */
export function sumDigest(sum: Uint16Array): string {
  return sha256Hex(sumBytes(sum));
}
