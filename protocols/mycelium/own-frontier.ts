import type { Coverage } from '../digest/coverage.ts';
import { frontierOf, isWhole } from '../feed/frontier.ts';
import { hasGap } from '../feed/gap.ts';
import type { PeerId } from '../wire/identity.ts';
import type { FrontierGroup } from './frontier-page.ts';
import type { Access, FeedSource } from './ports.ts';

export interface OwnFrontierParts {
  readonly source: Pick<FeedSource, 'feedGroups' | 'gap'>;
  readonly access: Pick<Access, 'mayHold'>;
  /** Digest over an author's public records in these collections, hex. */
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
}

/** This node's frontier as a peer may see it, undefined standing for everybody, its digests over these collections. */
export function ownFrontierFor(
  { source, access, digestOf }: OwnFrontierParts,
  peer: string | undefined,
  covers: Coverage,
): FrontierGroup[] {
  const groups: FrontierGroup[] = [];
  for (const { author, channel, feeds } of source.feedGroups()) {
    if (channel !== 'public' && (peer === undefined || !access.mayHold(peer, channel))) continue;
    // What is held of it is not what others mean by such a frontier.
    if (hasGap(source, feeds)) continue;
    groups.push({
      author,
      channel,
      items: frontierOf(feeds),
      digest: channel === 'public' && isWhole(feeds) ? digestOf(author, covers) : '',
    });
  }
  return groups;
}
