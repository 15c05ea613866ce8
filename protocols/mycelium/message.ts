import { AgrinetError } from '../errors.ts';
import type { Entry } from '../feed/entry.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';

/** Announces that an entry exists; nodes that do not hold it pull it. */
export interface Announcement {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  /** Header hash, hex. */
  readonly hash: string;
}

/** The contents of a gossip message: an entry, the announcement of a large one, or a proof of equivocation. */
export type GossipMessage =
  | { readonly kind: 'entry'; readonly bytes: Uint8Array }
  | { readonly kind: 'announcement'; readonly announcement: Announcement }
  | { readonly kind: 'proof'; readonly bytes: Uint8Array };

/** Canonical dag-cbor: `[0, entry]`, `[1, author, channel, epoch, seq, hash]` or `[2, proof]`. */
export function encodeMessage(message: GossipMessage): Uint8Array {
  switch (message.kind) {
    case 'entry':
      return encodeCbor([0, message.bytes]);
    case 'announcement': {
      const { author, channel, epoch, seq, hash } = message.announcement;
      return encodeCbor([1, author, channel, fromHex(epoch), seq, fromHex(hash)]);
    }
    case 'proof':
      return encodeCbor([2, message.bytes]);
  }
}

/** Reads a message strictly. Throws `message-malformed` or `not-canonical`. */
export function decodeMessage(data: Uint8Array): GossipMessage {
  const malformed = (): AgrinetError => new AgrinetError('message-malformed', 'gossip: malformed message');
  if (data.length > LIMITS.gossipEntryBytes + 1024) throw malformed();
  const value = decodeCbor(data);
  if (!Array.isArray(value)) throw malformed();
  const items: readonly unknown[] = value;
  const [kind, first] = items;
  if ((kind === 0 || kind === 2) && items.length === 2 && first instanceof Uint8Array) {
    return { kind: kind === 0 ? 'entry' : 'proof', bytes: first };
  }
  const author = parsePeerId(first);
  const [, , channel, epochBytes, seqValue, hashBytes] = items;
  const epoch = bytesOf(epochBytes, 8);
  const hash = bytesOf(hashBytes, 32);
  const seq = integer(seqValue, 1, LIMITS.feedEntries);
  if (kind !== 1 || items.length !== 6 || author === undefined || !isChannel(channel)) throw malformed();
  if (epoch === undefined || hash === undefined || seq === undefined) throw malformed();
  return { kind: 'announcement', announcement: { author, channel, epoch: hex(epoch), seq, hash: hex(hash) } };
}

export function announcementOf(entry: Entry): Announcement {
  const { channel, epoch, seq } = entry.header;
  return { author: entry.author, channel, epoch, seq, hash: entry.hash };
}
