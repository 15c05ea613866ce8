import { AgrinetError } from '../errors.ts';
import { encodeCbor, integer } from '../wire/cbor.ts';
import { type EnvelopeType, signEnvelope } from '../wire/envelope.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import { type ExpectedAddress, verifyAddressed } from './addressed.ts';

/** A registration's own domain string: no other signature of a node can be passed off as one. */
export const REGISTRATION_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-registration',
  payloadType: new TextEncoder().encode('/agrinet/registration/1'),
};

const MAX_STATEMENT = 8192;
/** SHA-256 of a TLS certificate, lower-case hex; empty for none. */
export const TLS_FINGERPRINT = /^([0-9a-f]{64})?$/;

/** What a node signs when it registers with another. */
export interface RegistrationStatement {
  readonly caller: PeerId;
  readonly receiver: PeerId;
  /** Where the caller answers HTTP; empty when it has no address others can reach. */
  readonly nodeUrl: string;
  readonly region: string;
  readonly name: string;
  readonly multiaddrs: readonly string[];
  readonly schemaVersion: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** 32 hex digits; in an answer the nonce of the request. */
  readonly nonce: string;
  /** SHA-256 of the caller's TLS certificate, hex; empty without TLS. */
  readonly tlsFingerprint: string;
}

const KEYS = [
  'v',
  'net',
  'caller',
  'receiver',
  'nodeUrl',
  'region',
  'name',
  'multiaddrs',
  'schemaVersion',
  'time',
  'nonce',
  'tlsFingerprint',
] as const;

/** Signs a statement: an envelope over canonical dag-cbor. */
export function signRegistration(
  identity: Identity,
  net: string,
  statement: RegistrationStatement,
): Uint8Array {
  const { nonce, multiaddrs, ...rest } = statement;
  return signEnvelope(
    identity,
    REGISTRATION_ENVELOPE,
    encodeCbor({
      v: 1,
      net,
      ...rest,
      multiaddrs: [...multiaddrs],
      nonce: new Uint8Array(Buffer.from(nonce, 'hex')),
    }),
  );
}

/** Verifies a statement made for this receiver, network and time. Throws `registration-invalid` with what was wrong. */
export function verifyRegistration(bytes: Uint8Array, expected: ExpectedAddress): RegistrationStatement {
  const invalid = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('registration-invalid', `registration: ${why}`, { cause });
  if (bytes.length > MAX_STATEMENT) throw invalid('too long');
  const { caller, map, nonce, time } = verifyAddressed(REGISTRATION_ENVELOPE, KEYS, bytes, expected, invalid);
  const schemaVersion = integer(map.schemaVersion, 1);
  if (schemaVersion === undefined) throw invalid('wrong fields');
  const { nodeUrl, region, name, multiaddrs, tlsFingerprint } = map;
  for (const text of [nodeUrl, region, name])
    if (typeof text !== 'string' || text.length > 512) throw invalid('a text is missing or too long');
  if (typeof tlsFingerprint !== 'string' || !TLS_FINGERPRINT.test(tlsFingerprint))
    throw invalid('tlsFingerprint');
  if (
    !Array.isArray(multiaddrs) ||
    multiaddrs.length > 16 ||
    !multiaddrs.every((a) => typeof a === 'string' && a.length <= 256)
  )
    throw invalid('multiaddrs');
  return {
    caller,
    receiver: expected.receiver,
    nodeUrl: String(nodeUrl),
    region: String(region),
    name: String(name),
    multiaddrs: multiaddrs.map(String),
    schemaVersion,
    time,
    nonce,
    tlsFingerprint,
  };
}
