import { readEnvelope, signEnvelope, type EnvelopeType } from '../../../protocols/wire/envelope.ts';
import { ENTRY_ENVELOPE } from '../../../protocols/feed/header.ts';
import { bytesEqual, concat, hex } from '../../../protocols/wire/bytes.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { REGISTRATION_ENVELOPE } from '../../../protocols/registry/statement.ts';
import {
  add,
  challenge,
  encodePoint,
  fromLittleEndian,
  isIdentity,
  L,
  littleEndian,
  multiply,
  orderEight,
  smallOrderEncodings,
  timesBase,
} from '../ed25519-points.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** The identities of the vectors: seeds of one repeated byte. */
export const nodeOf = (byte: number): Identity => identityFromSeed(new Uint8Array(32).fill(byte));

interface SignatureVector {
  readonly name: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
  readonly holds: boolean;
}

interface Forged {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly r: Uint8Array;
  readonly s: bigint;
}

/** A message for which `wanted` holds of the hash; where it never does, the last one tried. */
function withMessage(r: Uint8Array, key: Uint8Array, wanted: (k: bigint) => boolean): [Uint8Array, bigint] {
  for (let i = 0; ; i++) {
    const message = text(`agrinet edge case ${i}`);
    const k = challenge(r, key, message);
    if (wanted(k) || i === 255) return [message, k];
  }
}

/** Signatures at the edges: what a lax, a strict and a cofactored verifier disagree about. */
export function signatureVectors(): SignatureVector[] {
  const vectors: SignatureVector[] = [];
  const put = (name: string, { key, message, r, s }: Forged, holds: boolean): void => {
    const signature = hex(concat([r, littleEndian(s)]));
    vectors.push({ name, publicKey: hex(key), message: hex(message), signature, holds });
  };
  const node = nodeOf(1);
  const message = text('agrinet');
  const good = node.sign(message);
  const r = good.subarray(0, 32);
  const s = fromLittleEndian(good.subarray(32));
  put('an honest signature', { key: node.publicKey, message, r, s }, true);
  put('another message', { key: node.publicKey, message: text('agrinot'), r, s }, false);
  put('S plus the group order', { key: node.publicKey, message, r, s: s + L }, false);
  put('S with its highest bit set', { key: node.publicKey, message, r, s: s | (1n << 255n) }, false);
  const flipped = Uint8Array.from(r);
  flipped[31] = (flipped[31] ?? 0) ^ 0x80;
  put('R with the other sign', { key: node.publicKey, message, r: flipped, s }, false);

  const scalar = 123_456_789n;
  const nonce = 987_654_321n;
  const key = encodePoint(timesBase(scalar));
  const torsion = orderEight();
  const pure = encodePoint(timesBase(nonce));
  const mixedKey = encodePoint(add(timesBase(scalar), torsion));
  for (const [i, small] of smallOrderEncodings().entries()) {
    // With k a multiple of 8 the key drops out of the equation: R = r·B and S = r hold for it under every lax verifier.
    const [under] = withMessage(pure, small, (k) => k % 8n === 0n);
    put(`key of small order, encoding ${i}`, { key: small, message: under, r: pure, s: nonce }, false);
    // Made with nonce 0 and a key of mixed order, so that S·B - k·A is a point of small order: where it is this very one, lax verifiers take it.
    const [about, k] = withMessage(small, mixedKey, (each) =>
      bytesEqual(encodePoint(multiply((8n - (each % 8n)) % 8n, torsion)), small),
    );
    put(
      `R of small order, encoding ${i}`,
      { key: mixedKey, message: about, r: small, s: (k * scalar) % L },
      false,
    );
  }
  const [even, evenK] = withMessage(pure, mixedKey, (k) => k % 8n === 0n);
  const mixed = { key: mixedKey, r: pure };
  put(
    'key of mixed order, the equation holds',
    { ...mixed, message: even, s: (nonce + evenK * scalar) % L },
    true,
  );
  const [odd, oddK] = withMessage(pure, mixedKey, (k) => k % 8n !== 0n);
  put(
    'key of mixed order, the equation holds only with the cofactor',
    { ...mixed, message: odd, s: (nonce + oddK * scalar) % L },
    false,
  );
  const mixedR = encodePoint(add(timesBase(nonce), torsion));
  const [any, k] = withMessage(mixedR, key, () => true);
  put(
    'R of mixed order, the equation holds only with the cofactor',
    { key, message: any, r: mixedR, s: (nonce + k * scalar) % L },
    false,
  );
  const bothR = add(timesBase(nonce), multiply(3n, torsion));
  const cancelling = (k: bigint): boolean =>
    isIdentity(add(multiply(k % 8n, torsion), multiply(3n, torsion)));
  const [both, bothK] = withMessage(encodePoint(bothR), mixedKey, cancelling);
  put(
    'key and R of mixed order, the equation holds',
    { key: mixedKey, message: both, r: encodePoint(bothR), s: (nonce + bothK * scalar) % L },
    true,
  );
  return vectors;
}

/** Envelopes, and encodings of them that libp2p would take but no node of ours does. */
export function envelopeVectors(): unknown {
  const node = nodeOf(1);
  const made = (type: EnvelopeType, payload: Uint8Array): unknown => ({
    domain: type.domain,
    payloadType: new TextDecoder().decode(type.payloadType),
    payload: hex(payload),
    envelope: hex(signEnvelope(node, type, payload)),
  });
  const bytes = signEnvelope(node, ENTRY_ENVELOPE, text('payload'));
  const refused = reencodings(bytes).map(({ name, bytes: other }) => ({ name, envelope: hex(other) }));
  return {
    author: node.peerId,
    sealed: [
      made(ENTRY_ENVELOPE, text('payload')),
      made(ENTRY_ENVELOPE, new Uint8Array(200)),
      made(REGISTRATION_ENVELOPE, text('payload')),
    ],
    refused,
  };
}

/** Other protobuf encodings of the entry envelope `bytes`, whose payload is shorter than 128 bytes. */
export function reencodings(bytes: Uint8Array): { name: string; bytes: Uint8Array }[] {
  const { publicKey, payload, signature } = readEnvelope(ENTRY_ENVELOPE, bytes);
  const field = (number: number, value: Uint8Array): Uint8Array =>
    concat([Uint8Array.of(number * 8 + 2, value.length), value]);
  const key = field(1, concat([Uint8Array.of(0x08, 0x01, 0x12, 0x20), publicKey]));
  const type = field(2, ENTRY_ENVELOPE.payloadType);
  const body = field(3, payload);
  const sig = field(5, signature);
  const swappedKey = field(1, concat([Uint8Array.of(0x12, 0x20), publicKey, Uint8Array.of(0x08, 0x01)]));
  const longLength = concat([Uint8Array.of(0x1a, payload.length | 0x80, 0x00), payload]);
  return [
    { name: 'fields in another order', bytes: concat([type, key, body, sig]) },
    { name: 'signature before payload', bytes: concat([key, type, sig, body]) },
    { name: 'payload twice', bytes: concat([key, type, body, body, sig]) },
    { name: 'an unknown field', bytes: concat([key, type, body, field(4, text('x')), sig]) },
    { name: 'an unknown field at the end', bytes: concat([bytes, field(6, text('x'))]) },
    { name: 'a length in more bytes than it needs', bytes: concat([key, type, longLength, sig]) },
    { name: 'key fields in another order', bytes: concat([swappedKey, type, body, sig]) },
    { name: 'a trailing byte', bytes: concat([bytes, Uint8Array.of(0)]) },
    { name: 'one byte short', bytes: bytes.subarray(0, bytes.length - 1) },
    { name: 'empty', bytes: new Uint8Array(0) },
  ];
}
