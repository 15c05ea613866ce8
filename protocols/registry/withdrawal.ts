import { AgrinetError } from '../errors.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { type EnvelopeType, signEnvelope } from '../wire/envelope.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import { type ExpectedAddress, verifyAddressed } from './addressed.ts';

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

export function signWithdrawal(
  identity: Identity,
  net: string,
  { receiver, time, nonce }: Omit<Withdrawal, 'caller'>,
): Uint8Array {
  const payload = { v: 1, net, caller: identity.peerId, receiver, time, nonce: Buffer.from(nonce, 'hex') };
  return signEnvelope(
    identity,
    WITHDRAWAL_ENVELOPE,
    encodeCbor({ ...payload, nonce: new Uint8Array(payload.nonce) }),
  );
}

/** Verifies a withdrawal made for this receiver, network and time. Throws `registration-invalid` with what was wrong. */
export function verifyWithdrawal(bytes: Uint8Array, expected: ExpectedAddress): Withdrawal {
  const invalid = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('registration-invalid', `withdrawal: ${why}`, { cause });
  if (bytes.length > MAX_WITHDRAWAL) throw invalid('too long');
  const { caller, nonce, time } = verifyAddressed(WITHDRAWAL_ENVELOPE, KEYS, bytes, expected, invalid);
  return { caller, receiver: expected.receiver, time, nonce };
}
