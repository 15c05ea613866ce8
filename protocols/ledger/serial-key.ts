import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';

/**
 * Entries with the same key may touch the same records, those with different keys never do: a public record belongs to its owner alone, a private one
 * to its channel.
 */
export function serialKeyOf(author: PeerId, channel: Channel): string {
  return channel === 'public' ? `public|${author}` : channel;
}
