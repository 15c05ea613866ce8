import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';

/**
 * Entries of one lane may touch the same records, those of two lanes never do: a public record is its owner's alone, a private one
 * belongs to its channel.
 */
export function laneOf(author: PeerId, channel: Channel): string {
  return channel === 'public' ? `public|${author}` : channel;
}
