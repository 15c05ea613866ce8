import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { Record } from '@libp2p/interface';
import { RecordEnvelope } from '@libp2p/peer-record';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { ENTRY_ENVELOPE } from '../../../protocols/feed/header.ts';
import { REGISTRATION_ENVELOPE } from '../../../protocols/registry/statement.ts';
import { bytesEqual } from '../../../protocols/wire/bytes.ts';
import {
  verifyEnvelope,
  readEnvelope,
  signEnvelope,
  type EnvelopeType,
} from '../../../protocols/wire/envelope.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { nodeOf, reencodings } from '../../support/vectors/signatures.ts';

const recordOf = (type: EnvelopeType, payload: Uint8Array): Record => ({
  domain: type.domain,
  codec: type.payloadType,
  marshal: () => payload,
  equals: () => false,
});

describe('the same bytes as libp2p', () => {
  const types = fc.constantFrom(ENTRY_ENVELOPE, REGISTRATION_ENVELOPE);
  const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const payloads = fc.oneof(
    // libp2p leaves an empty payload out altogether; no message of ours is empty.
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.integer({ min: 1, max: 20_000 }).map((length) => new Uint8Array(length).fill(length)),
  );

  it('seals what RecordEnvelope seals, and each opens what the other sealed', async () => {
    await fc.assert(
      fc.asyncProperty(types, seeds, payloads, async (type, seed, payload) => {
        const identity = identityFromSeed(seed);
        const theirs = await RecordEnvelope.seal(
          recordOf(type, payload),
          privateKeyFromRaw(identity.privateKeyRaw),
        );
        const bytes = signEnvelope(identity, type, payload);
        expect(bytesEqual(bytes, theirs.marshal())).toBe(true);
        const opened = verifyEnvelope(type, bytes);
        expect(bytesEqual(opened.payload, payload)).toBe(true);
        expect(opened.author).toBe(identity.peerId);
        const certified = await RecordEnvelope.openAndCertify(bytes, type.domain);
        expect(bytesEqual(certified.payload, payload)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('has the peer ids of libp2p', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const identity = identityFromSeed(seed);
        const key = privateKeyFromRaw(identity.privateKeyRaw);
        expect(key.publicKey.toString()).toBe(identity.peerId);
        expect(bytesEqual(key.publicKey.raw, identity.publicKey)).toBe(true);
      }),
    );
  });
});

describe('one encoding only', () => {
  const bytes = signEnvelope(nodeOf(1), ENTRY_ENVELOPE, new TextEncoder().encode('payload'));

  it('libp2p takes some of the re-encodings, which is why they are tested here', async () => {
    const taken = await Promise.allSettled(
      reencodings(bytes).map((each) => RecordEnvelope.openAndCertify(each.bytes, ENTRY_ENVELOPE.domain)),
    );
    expect(taken.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(3);
  });

  test.each(reencodings(bytes))('refuses: $name', (each) => {
    expect(refusalOf(() => readEnvelope(ENTRY_ENVELOPE, each.bytes))).toBe('envelope-malformed');
  });

  it('refuses whatever differs in one bit, or holds its signature for nothing', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const altered = Uint8Array.from(bytes);
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(refusalOf(() => verifyEnvelope(ENTRY_ENVELOPE, altered))).toMatch(
          /^(envelope-malformed|signature-invalid)$/,
        );
      }),
    );
  });

  it('a signature for one purpose does not count for another', () => {
    const otherDomain = { ...ENTRY_ENVELOPE, domain: REGISTRATION_ENVELOPE.domain };
    expect(refusalOf(() => verifyEnvelope(otherDomain, bytes))).toBe('signature-invalid');
    expect(refusalOf(() => verifyEnvelope(REGISTRATION_ENVELOPE, bytes))).toBe('envelope-malformed');
  });
});

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return errorCode(error);
  }
  return 'accepted';
}
