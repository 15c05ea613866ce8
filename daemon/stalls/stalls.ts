/** When a feed of this node does not advance at a peer: pure decisions. Time is monotonic, milliseconds; no I/O. */

export const STALL_LIMITS = {
  /** How often the frontiers of peers are checked. */
  roundMs: 20_000,
  /** How long a peer may show the same position while this node has more: exchanges take place every minute or so, and entries are sent on their own. */
  stallMs: 5 * 60_000,
  /** Frontiers that have to show it in that time: an old one says nothing about now. */
  frontiers: 3,
} as const;

/** One of this node's feeds at a peer that has shown less of it than is held here. */
export interface BehindFeed {
  readonly peer: string;
  readonly channel: string;
  readonly epoch: string;
  /** Entries that the peer has shown, and that are held here. */
  readonly there: number;
  readonly here: number;
}

/** The last frontier of a registered peer. */
export interface ShownPeer {
  readonly peer: string;
  /**
   * Connected now: an absent peer has a finding of its own, and one that comes and goes without pulling anything is no better for
   * it.
   */
  readonly reachable: boolean;
  /** Whole frontiers that it has shown since the start of this process. */
  readonly frontiers: number;
  readonly behind: readonly BehindFeed[];
}

/** A feed that does not move; `sinceMs` is how long, when it was last seen so. */
export interface Stall extends BehindFeed {
  readonly sinceMs: number;
}

interface Position {
  readonly there: number;
  readonly since: number;
  /** Frontiers of the peer when it was first seen at this place, and with the newest that shows it. */
  readonly first: number;
  last: number;
  seenAt: number;
  reported: boolean;
}

/** Made by `emptyStalls`, changed only by `stallRound`. */
export type StallState = Map<string, Position>;

export const emptyStalls = (): StallState => new Map();

/**
 * The current stalls, and which of them are new. A feed that advances starts over; a peer without a frontier is left out, and one
 * that is no longer registered is forgotten.
 */
export function stallRound(
  state: StallState,
  peers: readonly ShownPeer[],
  now: number,
): { readonly stalls: readonly Stall[]; readonly fresh: readonly Stall[] } {
  const seen = new Set<string>();
  const stalls: Stall[] = [];
  const fresh: Stall[] = [];
  for (const { reachable, frontiers, behind } of peers)
    for (const feed of behind) {
      const id = `${feed.peer}|${feed.channel}|${feed.epoch}`;
      seen.add(id);
      const position = positionOf(state, id, feed, frontiers, now);
      const sinceMs = position.seenAt - position.since;
      const isReported = position.last - position.first >= STALL_LIMITS.frontiers;
      if (!reachable || sinceMs < STALL_LIMITS.stallMs || !isReported) continue;
      stalls.push({ ...feed, sinceMs });
      if (!position.reported) fresh.push({ ...feed, sinceMs });
      position.reported = true;
    }
  for (const id of state.keys()) if (!seen.has(id)) state.delete(id);
  return { stalls, fresh };
}

function positionOf(
  state: StallState,
  id: string,
  { there }: BehindFeed,
  frontiers: number,
  now: number,
): Position {
  const known = state.get(id);
  if (known?.there === there) {
    if (frontiers !== known.last) Object.assign(known, { last: frontiers, seenAt: now });
    return known;
  }
  const begun = { there, since: now, first: frontiers, last: frontiers, seenAt: now, reported: false };
  state.set(id, begun);
  return begun;
}
