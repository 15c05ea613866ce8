import type { Coverage } from '../digest/coverage.ts';
import { frontierOf, isWhole } from '../feed/frontier.ts';
import type { FeedState } from '../feed/feed.ts';
import { hasGap } from '../feed/gap.ts';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { groupHash, groupPlace } from './frontier-digest.ts';
import type { FrontierGroup } from './frontier-page.ts';
import { FrontierView, type ViewedGroup } from './frontier-view.ts';
import type { Access, FeedSource } from './ports.ts';

/** Groups between two checks of the CPU used. */
const STEP = 64;

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
    if (!isShown({ source, access }, peer, channel, feeds)) continue;
    const digest = channel === 'public' && isWhole(feeds) ? digestOf(author, covers) : '';
    groups.push({ author, channel, items: frontierOf(feeds), digest });
  }
  return groups;
}

/**
 * A private channel is shown to its participants; what is held of feeds with a gap is not what others understand by such a frontier.
 */
function isShown(
  { source, access }: Pick<OwnFrontierParts, 'source' | 'access'>,
  peer: string | undefined,
  channel: Channel,
  feeds: readonly FeedState[],
): boolean {
  if (channel !== 'public' && (peer === undefined || !access.mayHold(peer, channel))) return false;
  return !hasGap(source, feeds);
}

interface KnownGroup extends ViewedGroup {
  readonly feeds: readonly FeedState[];
}

/** This node's frontier for comparison with those of peers. What has not changed since the last one is not hashed again. */
export class OwnFrontier {
  readonly #parts: OwnFrontierParts;
  /** By the first feed of a group: one that moves is another object. */
  readonly #known = new WeakMap<FeedState, KnownGroup>();

  constructor(parts: OwnFrontierParts) {
    this.#parts = parts;
  }

  /** As this peer may see it, the digests of its groups over these collections. */
  async viewFor(peer: string, covers: Coverage, turn: Pick<CpuTurn, 'pause'>): Promise<FrontierView> {
    const groups: ViewedGroup[] = [];
    for (const [i, { author, channel, feeds }] of this.#parts.source.feedGroups().entries()) {
      if (i % STEP === 0) await turn.pause();
      if (isShown(this.#parts, peer, channel, feeds))
        groups.push(this.#viewed(author, channel, feeds, covers));
    }
    await turn.pause();
    return new FrontierView(groups);
  }

  #viewed(author: PeerId, channel: Channel, feeds: readonly FeedState[], covers: Coverage): ViewedGroup {
    const [first] = feeds;
    const held = first && this.#known.get(first);
    const known = held !== undefined && sameFeeds(held.feeds, feeds) ? held : undefined;
    const whole = known?.isWhole ?? isWhole(feeds);
    const digest = channel === 'public' && whole ? this.#parts.digestOf(author, covers) : '';
    if (known?.group.digest === digest) return known;
    const group: FrontierGroup = { author, channel, items: known?.group.items ?? frontierOf(feeds), digest };
    const place = known?.place ?? groupPlace(group);
    const viewed: KnownGroup = { feeds, group, place, hash: groupHash(group), isWhole: whole };
    if (first !== undefined) this.#known.set(first, viewed);
    return viewed;
  }
}

function sameFeeds(some: readonly FeedState[], others: readonly FeedState[]): boolean {
  return some.length === others.length && some.every((feed, i) => feed === others[i]);
}
