import { AgrinetError } from '../errors.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { type EnvelopeType, signEnvelope } from '../wire/envelope.ts';
import { type Identity, parsePeerId, type PeerId } from '../wire/identity.ts';
import { checkTime, verifySignedMap } from '../wire/signed-map.ts';
import { REGISTRATION_WINDOW_MS } from './addressed.ts';
import { TLS_FINGERPRINT } from './statement.ts';

/** A proof's own domain string: a signature over a stranger's nonce must be good for nothing else. */
export const IDENTITY_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-identity',
  payloadType: new TextEncoder().encode('/agrinet/identity/1'),
};

const MAX_PROOF = 2048;
const KEYS = ['v', 'net', 'peerId', 'nonce', 'nodeUrl', 'tlsFingerprint', 'time'] as const;

/** What a node signs when it is asked for its identity. */
export interface IdentityProof {
  readonly peerId: PeerId;
  /** 32 hex digits, drawn by the asker. */
  readonly nonce: string;
  /** The URL at which the node says it answers: an answer relayed from another address does not match. */
  readonly nodeUrl: string;
  /** SHA-256 of its TLS certificate, lower-case hex; empty when it has none, or one that a CA vouches for. */
  readonly tlsFingerprint: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Signs a proof: an envelope over canonical dag-cbor. */
export function signIdentityProof(
  identity: Identity,
  net: string,
  proof: Omit<IdentityProof, 'peerId'>,
): Uint8Array {
  const payload = encodeCbor({
    v: 1,
    net,
    peerId: identity.peerId,
    nonce: new Uint8Array(Buffer.from(proof.nonce, 'hex')),
    nodeUrl: proof.nodeUrl,
    tlsFingerprint: proof.tlsFingerprint,
    time: proof.time,
  });
  return signEnvelope(identity, IDENTITY_ENVELOPE, payload);
}

/** Verifies a proof made for this nonce, network and time. Throws `proof-invalid` with what was wrong. */
export function verifyIdentityProof(
  bytes: Uint8Array,
  expected: {
    readonly net: string;
    readonly nonce: string;
    readonly now: number;
    /** How far its time may be off: five minutes, unless it is the time itself that is asked for. */
    readonly windowMs?: number;
  },
): IdentityProof {
  const invalid = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('proof-invalid', `identity proof: ${why}`, { cause });
  if (bytes.length > MAX_PROOF) throw invalid('too long');
  const { author, map, nonce, time } = verifySignedMap(IDENTITY_ENVELOPE, KEYS, bytes, invalid);
  const peerId = parsePeerId(map.peerId);
  if (peerId === undefined) throw invalid('wrong fields');
  const { nodeUrl, tlsFingerprint } = map;
  if (typeof nodeUrl !== 'string' || nodeUrl.length > 512) throw invalid('nodeUrl');
  if (typeof tlsFingerprint !== 'string' || !TLS_FINGERPRINT.test(tlsFingerprint))
    throw invalid('tlsFingerprint');
  if (peerId !== author) throw invalid('not signed by the node it names');
  if (map.net !== expected.net) throw invalid(`made for another network, not ${expected.net}`);
  if (nonce !== expected.nonce) throw invalid('made for another nonce');
  checkTime(time, expected.now, expected.windowMs ?? REGISTRATION_WINDOW_MS, invalid);
  return { peerId, nonce, nodeUrl, tlsFingerprint, time };
}
