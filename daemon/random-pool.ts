import { randomFillSync } from 'node:crypto';

/** Bytes drawn at once: a call into OpenSSL costs as much for these as for sixteen. */
const DRAWN = 4096;
/** Longer ones are drawn by themselves. */
const SHORT = 64;

const pool = Buffer.allocUnsafeSlow(DRAWN);
let at = DRAWN;

/** Random bytes, suitable for keys and nonces; each is given out once, and no copy is kept. */
export function randomBytes(length: number): Uint8Array {
  if (length > SHORT) return randomFillSync(new Uint8Array(length));
  if (at + length > DRAWN) {
    randomFillSync(pool);
    at = 0;
  }
  const given = new Uint8Array(pool.subarray(at, at + length));
  pool.fill(0, at, at + length);
  at += length;
  return given;
}
