import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';

/** How far each feed is held, in memory: by its name, by this node's number for it, and by author and channel. */
export class FeedTable {
  readonly #byId = new Map<string, FeedState>();
  readonly #byNo = new Map<number, FeedState>();
  readonly #byChannel = new Map<string, Map<string, FeedState>>();
  #lastNo = 0;

  /** Takes the place of all that was known. */
  replace(feeds: readonly FeedState[]): void {
    for (const map of [this.#byId, this.#byNo, this.#byChannel]) map.clear();
    for (const feed of feeds) this.keep(feed);
  }

  keep(feed: FeedState): void {
    this.#byId.set(feedId(feed), feed);
    this.#byNo.set(feed.no, feed);
    const id = `${feed.author}|${feed.channel}`;
    const group = this.#byChannel.get(id) ?? new Map<string, FeedState>();
    group.set(feed.epoch, feed);
    this.#byChannel.set(id, group);
    this.#lastNo = Math.max(this.#lastNo, feed.no);
  }

  of(author: PeerId, channel: Channel): readonly FeedState[] {
    return [...(this.#byChannel.get(`${author}|${channel}`)?.values() ?? [])];
  }

  get(feed: Pick<FeedState, 'author' | 'channel' | 'epoch'>): FeedState | undefined {
    return this.#byId.get(feedId(feed));
  }

  numbered(no: number): FeedState | undefined {
    return this.#byNo.get(no);
  }

  /** Every feed, grouped by author and channel. */
  groups(): { author: PeerId; channel: Channel; feeds: FeedState[] }[] {
    return [...this.#byChannel.values()].flatMap((group) => {
      const feeds = [...group.values()];
      const first = feeds[0];
      return first === undefined ? [] : [{ author: first.author, channel: first.channel, feeds }];
    });
  }

  nextNo(): number {
    return ++this.#lastNo;
  }
}
