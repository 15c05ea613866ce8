import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { FeedState } from './feed.ts';

/**
 * What is known of a feed whose entries this node has forgotten (`agrinet forget`). Of the entries beyond the feed's head, those in
 * `kept` are still held as evidence, and only their named ops have effect. The gap closes when the head has reached `seq` again.
 */
export interface Gap {
  /** This node's own number of the feed. */
  readonly no: number;
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  /** When it was forgotten, milliseconds since 1970. */
  readonly at: number;
  /** Entries that were held then. */
  readonly seq: number;
  /** Of kept entries, by sequence, the indexes of the ops that have effect. */
  readonly kept: ReadonlyMap<number, ReadonlySet<number>>;
}

/** Looks up gaps by the number of a feed. */
export interface Gaps {
  gap(feedNo: number): Gap | undefined;
}

/** Whether entries of one of these feeds were forgotten: then they are not shown to others, nor is a digest compared. */
export function hasGap(source: Gaps, feeds: readonly Pick<FeedState, 'no'>[]): boolean {
  return feeds.some(({ no }) => source.gap(no) !== undefined);
}

/** Whether an op beyond the head of its feed has effect because it was kept as evidence. */
export function isKept(gap: Gap | undefined, seq: number, index: number): boolean {
  return gap?.kept.get(seq)?.has(index) === true;
}
