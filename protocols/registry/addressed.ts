import type { EnvelopeType } from '../wire/envelope.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { checkTime, type Invalid, verifySignedMap, type SignedMap } from '../wire/signed-map.ts';

/** Statements dated further in the past or future than this are refused; nonces are kept twice as long. */
export const REGISTRATION_WINDOW_MS = 5 * 60 * 1000;

/** For whom, where and when a statement has to be made. */
export interface ExpectedAddress {
  readonly net: string;
  readonly receiver: PeerId;
  readonly now: number;
}

/** Opens what one node has signed for another. Throws what `invalid` makes when it is for another receiver, network or time. */
export function verifyAddressed<Key extends string>(
  type: EnvelopeType,
  keys: readonly (Key | 'v' | 'net' | 'caller' | 'receiver' | 'nonce' | 'time')[],
  bytes: Uint8Array,
  expected: ExpectedAddress,
  invalid: Invalid,
): SignedMap<Key> & { readonly caller: PeerId } {
  const opened = verifySignedMap(type, keys, bytes, invalid);
  const { map, time } = opened;
  const caller = parsePeerId(map.caller);
  if (caller === undefined) throw invalid('wrong fields');
  if (caller !== opened.author) throw invalid('not signed by the caller');
  if (map.receiver !== expected.receiver) throw invalid('addressed to another node');
  if (map.net !== expected.net) throw invalid(`made for another network, not ${expected.net}`);
  checkTime(time, expected.now, REGISTRATION_WINDOW_MS, invalid);
  return { ...opened, caller };
}
