import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import {
  IDENTITY_ENVELOPE,
  verifyIdentityProof,
  signIdentityProof,
} from '../../../protocols/registry/identity-proof.ts';
import { verifyWithdrawal, signWithdrawal } from '../../../protocols/registry/withdrawal.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../../protocols/wire/envelope.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const [node, other] = [1, 2].map((n) => identityFromSeed(new Uint8Array(32).fill(n)));
if (node === undefined || other === undefined) throw new Error('no identities');
const NOW = 1_700_000_000_000;
const nonce = 'ab'.repeat(16);
const said = { nonce, nodeUrl: 'https://node.example.org', tlsFingerprint: 'cd'.repeat(32), time: NOW };
const expected = { net: 'test', nonce, now: NOW };

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return errorCode(error);
  }
}

describe('identity proof', () => {
  it('holds for its nonce, network and time only', () => {
    const bytes = signIdentityProof(node, 'test', said);
    expect(verifyIdentityProof(bytes, expected)).toEqual({ peerId: node.peerId, ...said });
    for (const wrong of [{ net: 'x' }, { nonce: '00'.repeat(16) }, { now: NOW + 301_000 }])
      expect(codeOf(() => verifyIdentityProof(bytes, { ...expected, ...wrong }))).toBe('proof-invalid');
  });

  it('is refused when signed by another, for another purpose or with a changed byte', () => {
    const payload = { v: 1, net: 'test', peerId: node.peerId, ...said, nonce: Buffer.from(nonce, 'hex') };
    const bytes = encodeCbor({ ...payload, nonce: new Uint8Array(payload.nonce) });
    expect(verifyIdentityProof(signEnvelope(node, IDENTITY_ENVELOPE, bytes), expected).peerId).toBe(
      node.peerId,
    );
    expect(codeOf(() => verifyIdentityProof(signEnvelope(other, IDENTITY_ENVELOPE, bytes), expected))).toBe(
      'proof-invalid',
    );
    const type = { ...IDENTITY_ENVELOPE, domain: 'agrinet-registration' };
    expect(codeOf(() => verifyIdentityProof(signEnvelope(node, type, bytes), expected))).toBe(
      'proof-invalid',
    );
    const good = signIdentityProof(node, 'test', said);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = good.slice();
        bad[at] = (bad[at] ?? 0) ^ flip;
        return codeOf(() => verifyIdentityProof(bad, expected)) === 'proof-invalid';
      }),
      { numRuns: 300 },
    );
  });
});

describe('withdrawal', () => {
  it('is for one receiver, network and time', () => {
    const bytes = signWithdrawal(node, 'test', { receiver: other.peerId, time: NOW, nonce });
    const held = { net: 'test', receiver: other.peerId, now: NOW };
    expect(verifyWithdrawal(bytes, held)).toEqual({
      caller: node.peerId,
      receiver: other.peerId,
      time: NOW,
      nonce,
    });
    for (const wrong of [{ net: 'x' }, { receiver: node.peerId }, { now: NOW + 301_000 }])
      expect(codeOf(() => verifyWithdrawal(bytes, { ...held, ...wrong }))).toBe('registration-invalid');
    expect(codeOf(() => verifyWithdrawal(signIdentityProof(node, 'test', said), held))).toBe(
      'registration-invalid',
    );
  });
});
