import { AgrinetError } from '../errors.ts';
import { bytesEqual, concat } from './bytes.ts';
import { type Identity, peerIdOf, type PeerId, verifySignature } from './identity.ts';

/**
 * Signed envelopes as libp2p's RFC 0002 has them (https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md),
 * over node:crypto. Of the many protobuf encodings of one envelope exactly one is accepted: fields 1, 2, 3, 5 once each
 * in this order, lengths in minimal varints, an Ed25519 key.
 */
export interface Envelope {
  readonly author: PeerId;
  readonly publicKey: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** The purpose of an envelope: the domain string prevents a signature for one purpose from being valid for another. */
export interface EnvelopeType {
  readonly domain: string;
  readonly payloadType: Uint8Array;
}

const KEY_PREFIX = Uint8Array.of(0x0a, 0x24, 0x08, 0x01, 0x12, 0x20);
const SIGNATURE_LENGTH = 64;

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return Uint8Array.from(out);
}

function signedBytes(type: EnvelopeType, payload: Uint8Array): Uint8Array {
  const domain = new TextEncoder().encode(type.domain);
  return concat([
    varint(domain.length),
    domain,
    varint(type.payloadType.length),
    type.payloadType,
    varint(payload.length),
    payload,
  ]);
}

/** Signs a payload; the one encoding. */
export function signEnvelope(identity: Identity, type: EnvelopeType, payload: Uint8Array): Uint8Array {
  return encodeEnvelope(type, identity.publicKey, payload, identity.sign(signedBytes(type, payload)));
}

function encodeEnvelope(
  type: EnvelopeType,
  publicKey: Uint8Array,
  payload: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  return concat([
    KEY_PREFIX,
    publicKey,
    Uint8Array.of(0x12),
    varint(type.payloadType.length),
    type.payloadType,
    Uint8Array.of(0x1a),
    varint(payload.length),
    payload,
    Uint8Array.of(0x2a, SIGNATURE_LENGTH),
    signature,
  ]);
}

/** Reads an envelope without checking its signature. Throws `envelope-malformed` for anything but the one encoding. */
export function readEnvelope(type: EnvelopeType, bytes: Uint8Array): Envelope {
  const malformed = (why: string): AgrinetError => new AgrinetError('envelope-malformed', `envelope: ${why}`);
  if (!bytesEqual(bytes.subarray(0, KEY_PREFIX.length), KEY_PREFIX)) throw malformed('not an Ed25519 key');
  const publicKey = bytes.subarray(KEY_PREFIX.length, KEY_PREFIX.length + 32);
  let at = KEY_PREFIX.length + 32;
  const head = concat([
    Uint8Array.of(0x12),
    varint(type.payloadType.length),
    type.payloadType,
    Uint8Array.of(0x1a),
  ]);
  if (!bytesEqual(bytes.subarray(at, at + head.length), head)) throw malformed('another payload type');
  at += head.length;
  let length = 0;
  for (let shift = 1; ; shift *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || shift > 128 ** 3) throw malformed('bad length');
    length += (byte & 0x7f) * shift;
    if (byte < 0x80) break;
  }
  if (bytes.length !== at + length + 2 + SIGNATURE_LENGTH) throw malformed('wrong length');
  const payload = bytes.subarray(at, at + length);
  const signature = bytes.subarray(at + length + 2);
  if (!bytesEqual(encodeEnvelope(type, publicKey, payload, signature), bytes))
    throw malformed('not its one encoding');
  return { author: peerIdOf(publicKey), publicKey, payload, signature };
}

/** True when the envelope's signature holds for this purpose. */
export function signatureHolds(type: EnvelopeType, envelope: Envelope): boolean {
  return verifySignature(envelope.publicKey, signedBytes(type, envelope.payload), envelope.signature);
}

/** Reads and verifies. Throws `envelope-malformed` or `signature-invalid`. */
export function verifyEnvelope(type: EnvelopeType, bytes: Uint8Array): Envelope {
  const envelope = readEnvelope(type, bytes);
  if (!signatureHolds(type, envelope))
    throw new AgrinetError('signature-invalid', 'the signature is invalid');
  return envelope;
}
