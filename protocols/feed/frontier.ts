import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, type Cbor, integer } from '../wire/cbor.ts';
import { LIMITS } from '../wire/limits.ts';
import { effectiveAfter, effectiveHead, type FeedState } from './feed.ts';

/** One epoch as a frontier shows it. */
export interface FrontierItem {
  readonly epoch: string;
  readonly seq: number;
  /** Hash of the header at `seq`; empty when seq is 0. */
  readonly hash: string;
  /** Id of the lowest known proof of equivocation, hex. */
  readonly fork?: string;
}

/** `[epoch, seq, hash, fork or null]`. */
export function frontierItemCbor({ epoch, seq, hash, fork }: FrontierItem): Cbor[] {
  return [fromHex(epoch), seq, fromHex(hash), fork === undefined ? null : fromHex(fork)];
}

/**
 * Reads `[epoch, seq, hash, fork or null]`; undefined for anything else. Where nothing is held there is no hash; in a forked epoch,
 * what is below the fork may not be held.
 */
export function readFrontierItem(item: unknown): FrontierItem | undefined {
  if (!Array.isArray(item) || item.length !== 4) return undefined;
  const [epochValue, seqValue, hashValue, forkValue] = item as readonly unknown[];
  const epoch = bytesOf(epochValue, 8);
  const seq = integer(seqValue, 0, LIMITS.feedEntries);
  const fork = forkValue === null ? null : bytesOf(forkValue, 32);
  if (epoch === undefined || seq === undefined || fork === undefined) return undefined;
  const none = seq === 0 || fork !== null ? bytesOf(hashValue, 0) : undefined;
  const hash = none ?? (seq === 0 ? undefined : bytesOf(hashValue, 32));
  if (hash === undefined) return undefined;
  const base = { epoch: hex(epoch), seq, hash: hex(hash) };
  return fork === null ? base : { ...base, fork: hex(fork) };
}

/**
 * The frontier of one author in one channel: every epoch but those that a held first header names in `after` with exactly
 * the sequence held. So a feed that was restarted a thousand times still has a frontier of one item.
 */
export function frontierOf(feeds: readonly FeedState[]): FrontierItem[] {
  const covered = highestTails(feeds);
  const items: FrontierItem[] = [];
  for (const feed of feeds) {
    const tail = covered.get(feed.epoch);
    if (feed.fork === undefined && tail?.seq === feed.seq && tail.hash === feed.hash) continue;
    if (feed.seq === 0 && feed.fork === undefined) continue;
    const { seq, hash } = effectiveHead(feed);
    items.push(
      feed.fork === undefined
        ? { epoch: feed.epoch, seq, hash }
        : { epoch: feed.epoch, seq, hash, fork: feed.fork.proof },
    );
  }
  return items.sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
}

/**
 * The furthest place that any `after` names of each epoch. It covers only by its hash: a chain of hashes has no cycle, so
 * epochs cannot hide one another, and where two names differ at one place the epoch stays to be seen.
 */
function highestTails(feeds: readonly FeedState[]): Map<string, { seq: number; hash: string }> {
  const highest = new Map<string, { seq: number; hash: string }>();
  for (const feed of feeds) {
    for (const { epoch, seq, hash } of effectiveAfter(feed)) {
      const known = highest.get(epoch);
      if (known === undefined || seq > known.seq) highest.set(epoch, { seq, hash });
      else if (seq === known.seq && hash !== known.hash) known.hash = '';
    }
  }
  return highest;
}

/** Whether two frontiers of one author and channel are the same, item by item: both sorted, as `frontierOf` gives them. */
export function sameFrontier(mine: readonly FrontierItem[], theirs: readonly FrontierItem[]): boolean {
  return (
    mine.length === theirs.length &&
    mine.every((item, i) => {
      const other = theirs[i];
      return (
        other !== undefined &&
        item.epoch === other.epoch &&
        item.seq === other.seq &&
        item.hash === other.hash &&
        item.fork === other.fork
      );
    })
  );
}

/** Which side has more of an owner's feeds: neither, this node, the other one, or both. */
export type FrontierRelation = 'equal' | 'here' | 'there' | 'both';

/** What is held of one author and channel, compared with a frontier shown by a peer. */
export function frontierRelation(
  feeds: readonly FeedState[],
  theirs: readonly FrontierItem[],
): FrontierRelation {
  const mine = frontierOf(feeds);
  if (sameFrontier(mine, theirs)) return isWhole(feeds) ? 'equal' : 'there';
  const held = new Map(feeds.map((feed) => [feed.epoch, effectiveHead(feed).seq]));
  const shown = new Map(theirs.map((item) => [item.epoch, item.seq]));
  const lacking = theirs.some(({ epoch, seq }) => (held.get(epoch) ?? 0) < seq);
  // An epoch that is not shown is covered by one that is, when that one is not held here.
  const ahead = mine.some(({ epoch, seq }) => seq > (shown.get(epoch) ?? (lacking ? seq : 0)));
  if (lacking) return ahead ? 'both' : 'there';
  return ahead ? 'here' : 'both';
}

/** Epochs beyond what is held that held headers name. They are fetched like any gap. */
export function missingEpochs(feeds: readonly FeedState[]): string[] {
  const held = new Map(feeds.map((feed) => [feed.epoch, feed]));
  const missing = new Set<string>();
  for (const feed of feeds) {
    for (const tail of effectiveAfter(feed)) {
      const known = held.get(tail.epoch);
      if (known?.fork === undefined && (known?.seq ?? 0) < tail.seq) missing.add(tail.epoch);
    }
  }
  return [...missing];
}

/**
 * Whether the records are what the frontier covers. An epoch named by a held header is not shown, so a frontier may cover more than is
 * held; and ops above a fork are invalidated batch by batch. A digest sent meanwhile would cover something else.
 */
export function isWhole(feeds: readonly FeedState[]): boolean {
  return missingEpochs(feeds).length === 0 && !feeds.some(isBeingUndone);
}

/** Whether ops at or above its fork still have effect. */
export function isBeingUndone({ fork }: FeedState): boolean {
  return fork?.undoing !== undefined;
}

/** True when something is missing here: a peer's frontier of one author and channel shows it, or a held header names it. */
export function isBehind(feeds: readonly FeedState[], theirs: readonly FrontierItem[]): boolean {
  return isMissingShown(feeds, theirs) || missingEpochs(feeds).length > 0;
}

/** True when a peer's frontier of one author and channel shows something that is not held here. */
export function isMissingShown(feeds: readonly FeedState[], theirs: readonly FrontierItem[]): boolean {
  const held = new Map(feeds.map((feed) => [feed.epoch, feed]));
  for (const item of theirs) {
    const mine = held.get(item.epoch);
    if (mine === undefined) return true;
    if (item.fork !== undefined && item.fork !== mine.fork?.proof) return true;
    const head = effectiveHead(mine);
    if (head.seq < (mine.fork === undefined ? item.seq : Math.min(item.seq, mine.fork.seq - 1))) return true;
    // Two hashes at one place: the peer has the other half of a proof.
    if (head.seq === item.seq && head.hash !== item.hash) return true;
  }
  return false;
}
