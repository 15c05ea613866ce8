import type { AgrinetError } from '../errors.ts';
import { hex } from './bytes.ts';
import { bytesOf, decodeCbor, integer, mapOf } from './cbor.ts';
import { type Envelope, type EnvelopeType, verifyEnvelope } from './envelope.ts';
import type { PeerId } from './identity.ts';

/** Maps that a node signs once, for one moment: registrations, withdrawals, proofs of identity, requests. */
export interface SignedMap<Key extends string> {
  readonly author: PeerId;
  readonly map: Readonly<Record<Key, unknown>>;
  /** 32 hex digits. */
  readonly nonce: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** The error for a malformed map, with the code of its kind. */
export type Invalid = (why: string, cause?: unknown) => AgrinetError;

type Common = 'v' | 'nonce' | 'time';

/** Opens an envelope over a map with just these keys, `v` being 1. Throws what `invalid` makes. */
export function verifySignedMap<Key extends string>(
  type: EnvelopeType,
  keys: readonly (Key | Common)[],
  bytes: Uint8Array,
  invalid: Invalid,
): SignedMap<Key | Common> {
  let envelope: Envelope;
  let map: Record<Key | Common, unknown> | undefined;
  try {
    envelope = verifyEnvelope(type, bytes);
    map = mapOf(decodeCbor(envelope.payload), keys);
  } catch (error) {
    throw invalid('the signature is invalid or malformed', error);
  }
  const nonce = bytesOf(map?.nonce, 16);
  const time = integer(map?.time, 0);
  if (map?.v !== 1 || nonce === undefined || time === undefined) throw invalid('wrong fields');
  return { author: envelope.author, map, nonce: hex(nonce), time };
}

/** Throws what `invalid` makes when a time is further from this node's than so many milliseconds. */
export function checkTime(time: number, now: number, windowMs: number, invalid: Invalid): void {
  if (Math.abs(time - now) > windowMs)
    throw invalid('more than five minutes old or in the future; check the clocks of both nodes');
}
