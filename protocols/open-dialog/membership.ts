import { decodeCbor, encodeCbor, mapOf } from '../wire/cbor.ts';
import { base64url, concat, hex, sha256 } from '../wire/bytes.ts';
import type { Channel } from '../wire/ids.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Membership } from './record.ts';

/**
 * The payload of a private record's creation. Its hash is the record's local id, so nobody can create it twice or change the
 * participants.
 */
export function encodeMembership(members: Membership, nonce: Uint8Array): Uint8Array {
  return encodeCbor({
    owner: members.owner,
    writers: [...members.writers].sort(),
    participants: [...members.participants].sort(),
    nonce,
  });
}

/** Reads a creation payload; undefined when malformed. Writers are participants, the owner is both, lists are sorted without repetition. */
export function decodeMembership(bytes: Uint8Array): Membership | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch {
    return undefined; // the caller's verdict on the op
  }
  const map = mapOf(value, ['owner', 'writers', 'participants', 'nonce'] as const);
  const owner = parsePeerId(map?.owner);
  if (map === undefined || owner === undefined) return undefined;
  if (!(map.nonce instanceof Uint8Array) || map.nonce.length !== 16) return undefined;
  const writers = peerList(map.writers);
  const participants = peerList(map.participants);
  if (writers === undefined || participants === undefined) return undefined;
  if (!writers.includes(owner) || !writers.every((writer) => participants.includes(writer))) return undefined;
  return { owner, writers, participants, nonce: hex(map.nonce) };
}

function peerList(value: unknown): PeerId[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > LIMITS.participants) return undefined;
  const peers: PeerId[] = [];
  for (const item of value) {
    const peer = parsePeerId(item);
    const last = peers.at(-1);
    if (peer === undefined || (last !== undefined && peer <= last)) return undefined;
    peers.push(peer);
  }
  return peers;
}

/** Characters of every content-addressed local id. */
export const CONTENT_ID_LENGTH = 43;

/**
 * The local id of a content-addressed record, 43 characters of base64url: SHA-256 of the payload; for a fact in a private
 * channel SHA-256 of the channel's key, a line feed and the payload's SHA-256, so that equal bytes in two channels are two records.
 */
export function contentId(payloadHash: Uint8Array, channel: Channel = 'public'): string {
  if (channel === 'public') return base64url(payloadHash);
  return base64url(sha256(concat([new TextEncoder().encode(`${channel}\n`), payloadHash])));
}
