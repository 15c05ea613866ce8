import { type FeedState } from '../feed/feed.ts';
import { type FrontierItem, frontierOf } from '../feed/frontier.ts';

/** How far each epoch is covered, ascending by epoch; epochs that are named and not held far enough. */
export interface Covers {
  readonly covers: readonly FrontierItem[];
  readonly missing: readonly string[];
}

/** A place of a feed. */
interface Place {
  readonly seq: number;
  readonly hash: string;
}

/**
 * All epochs that a frontier covers: those that it names, and those that the covered first header of one names in `after`, at the highest
 * place that is named. An `after` counts where the first header is covered, so nothing outside of the covers has a part in it.
 */
export function expandCovers(items: readonly FrontierItem[], feeds: readonly FeedState[]): Covers {
  const held = new Map(feeds.map((feed) => [feed.epoch, feed]));
  const places = new Map<string, FrontierItem>(items.map((item) => [item.epoch, item]));
  const todo = items.map(({ epoch }) => epoch);
  for (let epoch = todo.pop(); epoch !== undefined; epoch = todo.pop()) {
    const cover = places.get(epoch);
    if (cover === undefined || cover.seq === 0) continue;
    for (const { epoch: named, seq, hash } of held.get(epoch)?.after ?? []) {
      const known = places.get(named);
      // A fork that the items name decides how far that epoch counts.
      if (known !== undefined && (known.fork !== undefined || known.seq >= seq)) continue;
      places.set(named, { epoch: named, seq, hash });
      todo.push(named);
    }
  }
  const covers = [...places.values()].sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
  const missing = covers.filter(({ epoch, seq }) => (held.get(epoch)?.seq ?? 0) < seq);
  return { covers, missing: missing.map(({ epoch }) => epoch) };
}

/**
 * The covers at these places of an author's public feeds, raised to what covered first headers name, and the frontier that stands for them.
 * An epoch without a place is covered to 0: it has no part in it, unless it is named.
 */
export function coversAt(
  places: ReadonlyMap<string, Place>,
  feeds: readonly FeedState[],
): { readonly covers: readonly FrontierItem[]; readonly frontier: readonly FrontierItem[] } {
  const held = new Map(feeds.map((feed) => [feed.epoch, feed]));
  const items = [...places].flatMap(([epoch, { seq, hash }]): FrontierItem[] => {
    const fork = held.get(epoch)?.fork;
    if (seq === 0 && fork === undefined) return [];
    return [fork === undefined ? { epoch, seq, hash } : { epoch, seq, hash, fork: fork.proof }];
  });
  const { covers } = expandCovers(items, feeds);
  return { covers, frontier: frontierOf(covers.flatMap((cover) => asHeld(cover, held.get(cover.epoch)))) };
}

/** A feed as it was when its cover was its head. */
function asHeld({ epoch, seq, hash, fork }: FrontierItem, feed: FeedState | undefined): FeedState[] {
  if (feed === undefined) return [];
  const at = { ...feed, epoch, seq, hash };
  const { fork: _, ...unforked } = at;
  if (fork === undefined) return [unforked];
  // Covered up to where it forks, at the most: what is below the fork is its head.
  return [{ ...at, fork: { seq: seq + 1, proof: fork, below: hash } }];
}
