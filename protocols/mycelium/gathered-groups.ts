import { AgrinetError } from '../errors.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import type { FeedName } from '../ledger/types.ts';
import type { FrontierGroup } from './frontier-page.ts';

/** What was shown of one feed: the items of further groups are joined only where there are any. */
interface Gathered {
  readonly first: FrontierGroup;
  items?: Map<string, FrontierItem>;
}

/**
 * The groups of a frontier shown by a peer, those of one author and channel joined, so that each feed is examined once. Examining a
 * group costs in proportion to what is held of its feed, and there may be tens of thousands of groups; so no epoch may appear twice.
 */
export class GatheredGroups {
  readonly #feeds = new Map<string, Gathered>();

  /** One more. Throws `frontier-malformed` at an epoch that was shown before. */
  add(group: FrontierGroup): void {
    const id = feedId(group);
    const known = this.#feeds.get(id);
    if (known === undefined) {
      itemsByEpoch(group.items, new Map());
      this.#feeds.set(id, { first: group });
      return;
    }
    known.items ??= itemsByEpoch(known.first.items, new Map());
    itemsByEpoch(group.items, known.items);
  }

  /** One group of each feed. */
  all(): FrontierGroup[] {
    return [...this.#feeds.values()].map(({ first, items }) =>
      items === undefined ? first : { ...first, items: [...items.values()] },
    );
  }
}

function itemsByEpoch(
  items: readonly FrontierItem[],
  known: Map<string, FrontierItem>,
): Map<string, FrontierItem> {
  for (const item of items) {
    if (known.has(item.epoch))
      throw new AgrinetError('frontier-malformed', 'an epoch that a frontier shows twice');
    known.set(item.epoch, item);
  }
  return known;
}

/** One text for each feed. */
export function feedId({ author, channel }: FeedName): string {
  return `${author}|${channel}`;
}
