import type { FeedState } from '../../protocols/feed/feed.ts';
import { effectiveHead } from '../../protocols/feed/feed.ts';
import type { Store } from '../../storage/store.ts';

/** How far each epoch may be covered, and when the newest entry of these was signed, milliseconds since 1970. */
export interface OwnPlaces {
  readonly places: ReadonlyMap<string, { readonly seq: number; readonly hash: string }>;
  readonly through: number;
}

/** The places in this node's own public feeds that lag so far behind the newest time that it has signed. */
export async function laggingPlaces(
  store: Pick<Store, 'entry'>,
  feeds: readonly FeedState[],
  lagMs: number,
): Promise<OwnPlaces> {
  const times = new Map<FeedState, number>();
  for (const feed of feeds) times.set(feed, await timeAt(store, feed, effectiveHead(feed).seq));
  const until = Math.max(...times.values()) - lagMs;
  const places = new Map<string, { seq: number; hash: string }>();
  let through = 0;
  for (const [feed, newest] of times) {
    const head = effectiveHead(feed);
    const seq = newest <= until ? head.seq : await lastUntil(store, feed, head.seq, until);
    const entry = seq === 0 ? undefined : await store.entry(feed.no, seq);
    if (entry !== undefined) through = Math.max(through, entry.header.time[0]);
    places.set(feed.epoch, { seq: entry === undefined ? 0 : seq, hash: entry?.hash ?? '' });
  }
  return { places, through };
}

/** The last entry of a feed that was signed by then: the clock of an epoch only goes forward. */
async function lastUntil(
  store: Pick<Store, 'entry'>,
  feed: FeedState,
  head: number,
  until: number,
): Promise<number> {
  let [low, high] = [0, head];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((await timeAt(store, feed, middle)) <= until) low = middle;
    else high = middle - 1;
  }
  return low;
}

async function timeAt(store: Pick<Store, 'entry'>, feed: FeedState, seq: number): Promise<number> {
  return seq === 0 ? -Infinity : ((await store.entry(feed.no, seq))?.header.time[0] ?? Infinity);
}
