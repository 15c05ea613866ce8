import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { Env } from '../protocols/env.ts';
import type { Identity } from '../protocols/wire/identity.ts';

/** One block of AES: the number, as many random bytes, and zeros by which other texts are recognised. */
const NUMBER_BYTES = 6;
const RANDOM_BYTES = 6;
const BLOCK_BYTES = 16;
const CIPHER = 'aes-128-ecb';

/** Encrypts numbers below 2^48 as texts that reveal nothing about them, not even whether two are the same. */
export interface NumberCipher {
  /** 22 characters of base64url. */
  encrypt(number: number): string;
  /** Undefined for a text that was not encrypted by this identity. */
  decrypt(text: string): number | undefined;
}

/**
 * Numbers as one random-looking block each, under a key that only this identity has and that outlives a restart. It has to hide and not to
 * prove: what a number that somebody made up can do must be no more than what an honest one can.
 *
 * @param purpose texts of one purpose are none of another's
 */
export function createNumberCipher(
  { privateKeyRaw }: Pick<Identity, 'privateKeyRaw'>,
  purpose: string,
  { bytes }: Pick<Env, 'bytes'>,
): NumberCipher {
  const key = Buffer.from(hkdfSync('sha256', privateKeyRaw, '', purpose, 16));
  return {
    encrypt(number) {
      const block = Buffer.alloc(BLOCK_BYTES);
      block.writeUIntBE(number, 0, NUMBER_BYTES);
      block.set(bytes(RANDOM_BYTES), NUMBER_BYTES);
      const cipher = createCipheriv(CIPHER, key, null).setAutoPadding(false);
      return Buffer.concat([cipher.update(block), cipher.final()]).toString('base64url');
    },
    decrypt(text) {
      const encrypted = Buffer.from(text, 'base64url');
      if (encrypted.length !== BLOCK_BYTES) return undefined;
      const cipher = createDecipheriv(CIPHER, key, null).setAutoPadding(false);
      const block = Buffer.concat([cipher.update(encrypted), cipher.final()]);
      const isOurs = block.subarray(NUMBER_BYTES + RANDOM_BYTES).every((byte) => byte === 0);
      return isOurs ? block.readUIntBE(0, NUMBER_BYTES) : undefined;
    },
  };
}
