import { AgrinetError } from '../errors.ts';
import { hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import { type EnvelopeType, openEnvelope, seal } from '../wire/envelope.ts';
import { type Identity, parsePeerId, type PeerId } from '../wire/identity.ts';
import { REGISTRATION_WINDOW_MS } from './statement.ts';

/** Takes a registration back; a domain string of its own, so that it cannot be made of another signature. */
export const WITHDRAWAL_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-withdrawal',
  payloadType: new TextEncoder().encode('/agrinet/withdrawal/1'),
};

const MAX_WITHDRAWAL = 1024;
const KEYS = ['v', 'net', 'caller', 'receiver', 'time', 'nonce'] as const;

/** What a node signs when its own side of a registration failed. */
export interface Withdrawal {
  readonly caller: PeerId;
  readonly receiver: PeerId;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** 32 hex digits. */
  readonly nonce: string;
}

export function sealWithdrawal(
  identity: Identity,
  net: string,
  { receiver, time, nonce }: Omit<Withdrawal, 'caller'>,
): Uint8Array {
  const payload = { v: 1, net, caller: identity.peerId, receiver, time, nonce: Buffer.from(nonce, 'hex') };
  return seal(
    identity,
    WITHDRAWAL_ENVELOPE,
    encodeCbor({ ...payload, nonce: new Uint8Array(payload.nonce) }),
  );
}

/** Verifies a withdrawal made for this receiver, network and time. Throws `registration-invalid` with what was wrong. */
export function openWithdrawal(
  bytes: Uint8Array,
  expected: { readonly net: string; readonly receiver: PeerId; readonly now: number },
): Withdrawal {
  const invalid = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('registration-invalid', `withdrawal: ${why}`, { cause });
  if (bytes.length > MAX_WITHDRAWAL) throw invalid('too long');
  let author: PeerId;
  let map: Record<(typeof KEYS)[number], unknown> | undefined;
  try {
    const envelope = openEnvelope(WITHDRAWAL_ENVELOPE, bytes);
    author = envelope.author;
    map = mapOf(decodeCbor(envelope.payload), KEYS);
  } catch (error) {
    throw invalid('the signature does not hold, or it is malformed', error);
  }
  const caller = parsePeerId(map?.caller);
  const nonce = bytesOf(map?.nonce, 16);
  const time = integer(map?.time, 0);
  if (map?.v !== 1 || caller === undefined || nonce === undefined || time === undefined)
    throw invalid('wrong fields');
  if (caller !== author) throw invalid('signed by somebody else than the caller');
  if (map.receiver !== expected.receiver) throw invalid('made for another receiver');
  if (map.net !== expected.net) throw invalid(`made for another network than ${expected.net}`);
  if (Math.abs(time - expected.now) > REGISTRATION_WINDOW_MS)
    throw invalid('more than five minutes old or ahead; check the clocks of both nodes');
  return { caller, receiver: expected.receiver, time, nonce: hex(nonce) };
}
