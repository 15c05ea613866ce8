/** How strangers (connected, not registered) share the few slots there are for them. Times are milliseconds. */
export const STRANGER_LIMITS = {
  /** Time enough for identify, a DHT query and a peer exchange; nobody is disconnected before. */
  graceMs: 10_000,
  /** Of the slots, the share that one public address range (/24, /48) may hold: a network of one owner is one crowd. */
  rangeShare: 1 / 4,
  /** A range may always hold so many, however few slots there are. */
  rangeLeast: 2,
  /** Both sides may dial at once. */
  perPeer: 2,
  /** The share of the slots for inbound connections: a crowd must not keep this node from dialling a bootstrap address. */
  inboundShare: 3 / 4,
} as const;

/** A connection of a stranger. */
export interface Stranger {
  readonly id: string;
  readonly peerId: string;
  /** As `rangeOf` names it. */
  readonly range: string;
  /** Whether the range is one that can be limited: not loopback and private ones, where everybody may be one proxy. */
  readonly limited: boolean;
  readonly direction: 'inbound' | 'outbound';
  readonly openedAt: number;
  /** It asks something just now. */
  readonly busy: boolean;
}

/** `free`; `none`: try again later; or the connection to close. */
export type Slot = 'free' | 'none' | { readonly evict: string };

/**
 * Whether one more stranger may connect, and which one is disconnected for it, so that an idle connection never holds a slot
 * permanently. The one disconnected is inbound, past its grace time, of the most crowded range, idle rather than busy, and the
 * oldest of those. Connections that this node dialled are kept.
 */
export function slotFor(
  held: readonly Stranger[],
  newcomer: Pick<Stranger, 'peerId' | 'range' | 'limited' | 'direction'>,
  slots: number,
  now: number,
  graceMs: number = STRANGER_LIMITS.graceMs,
): Slot {
  if (held.filter(({ peerId }) => peerId === newcomer.peerId).length >= STRANGER_LIMITS.perPeer)
    return 'none';
  const worst = (among: readonly Stranger[]): Slot => evicted(among, held, now - graceMs);
  const inbound = held.filter(({ direction }) => direction === 'inbound');
  if (newcomer.direction === 'outbound') return held.length < slots ? 'free' : worst(inbound);
  const near = inbound.filter(({ range }) => range === newcomer.range);
  const perRange = Math.max(STRANGER_LIMITS.rangeLeast, Math.floor(slots * STRANGER_LIMITS.rangeShare));
  if (newcomer.limited && near.length >= perRange) return worst(near);
  const inboundSlots = Math.ceil(slots * STRANGER_LIMITS.inboundShare);
  return held.length < slots && inbound.length < inboundSlots ? 'free' : worst(inbound);
}

function evicted(among: readonly Stranger[], held: readonly Stranger[], before: number): Slot {
  const crowd = (one: Stranger): number => held.filter(({ range }) => range === one.range).length;
  const [first] = among
    .filter(({ openedAt }) => openedAt <= before)
    .toSorted((a, b) => crowd(b) - crowd(a) || Number(a.busy) - Number(b.busy) || a.openedAt - b.openedAt);
  return first === undefined ? 'none' : { evict: first.id };
}
