import { decodeEntry } from '../../protocols/feed/entry.ts';
import { verifyErasure } from '../../protocols/feed/erasure.ts';
import { verifyForkProof } from '../../protocols/feed/fork.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';

/** The feed that an item is about. Throws what reading it throws. */
export function feedOf({ kind, bytes }: RangeItem): { readonly author: PeerId; readonly channel: Channel } {
  if (kind === 'proof') return verifyForkProof(bytes);
  if (kind === 'erasure') return verifyErasure(bytes);
  const { author, header } = decodeEntry(bytes);
  return { author, channel: header.channel };
}
