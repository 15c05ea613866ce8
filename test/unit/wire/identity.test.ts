import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hex } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed, isSmallOrder, verifySignature } from '../../../protocols/wire/identity.ts';
import {
  encodePoint,
  isIdentity,
  multiply,
  orderEight,
  pointAt,
  smallOrderEncodings,
  timesBase,
} from '../../support/ed25519-points.ts';

it('the arithmetic of the vectors is that of the library: public keys agree', () => {
  // RFC 8032 section 7.1, test 1: the secret scalar of that key, clamped.
  const scalar = 36144925721603087658594284515452164870581325872720374094707712194495455132720n;
  expect(hex(encodePoint(timesBase(scalar)))).toBe(
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  );
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  expect(hex(identityFromSeed(new Uint8Array(Buffer.from(seed, 'hex'))).publicKey)).toBe(
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  );
});

it('every encoding of a point of small order is refused, and nothing beside', () => {
  const torsion = orderEight();
  expect(isIdentity(multiply(8n, torsion))).toBe(true);
  expect(isIdentity(multiply(4n, torsion))).toBe(false);
  const encodings = smallOrderEncodings();
  expect(encodings).toHaveLength(14);
  for (const encoding of encodings) expect(isSmallOrder(encoding), hex(encoding)).toBe(true);
  for (let y = 2n; y < 60n; y++) {
    const point = pointAt(y, false);
    if (point !== undefined) expect(isSmallOrder(encodePoint(point)), String(y)).toBe(false);
  }
});

it('takes what it signed, and nothing that differs in a bit', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 64 });
  const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(seeds, bytes, fc.nat(511), (seed, message, bit) => {
      const identity = identityFromSeed(seed);
      const signature = identity.sign(message);
      expect(verifySignature(identity.publicKey, message, signature)).toBe(true);
      signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifySignature(identity.publicKey, message, signature)).toBe(false);
    }),
  );
});

it('refuses keys and signatures of another length, and keys that are no point', () => {
  const identity = identityFromSeed(new Uint8Array(32).fill(1));
  const message = new Uint8Array(1);
  const signature = identity.sign(message);
  expect(verifySignature(identity.publicKey.subarray(1), message, signature)).toBe(false);
  expect(verifySignature(identity.publicKey, message, signature.subarray(1))).toBe(false);
  const none = new Uint8Array(32);
  for (let y = 2; pointAt(BigInt(y), false) !== undefined; y++) none[0] = y + 1;
  expect(verifySignature(none, message, signature)).toBe(false);
});
