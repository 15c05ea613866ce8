/** When a node counts as reached: pure decisions. Time is monotonic, milliseconds; no I/O. */

/** Times and bounds, each with its reason. Milliseconds. */
export const REACH_LIMITS = {
  /** How often connections are checked. */
  roundMs: 5000,
  /** How often a node that is not connected is asked over HTTP: three requests before it counts as lost. */
  probeMs: 25_000,
  /** One that is lost, too: it is worth less than those that are not. */
  lostProbeMs: 60_000,
  /** One that is lost for long is asked again after this share of its silence at most, as long as others are lost as well. */
  lostShare: 1 / 4,
  /** With many lost nodes, the wait of each grows by this much per node: two requests in three seconds, however many there are. */
  perLostMs: 2000,
  /** A question takes no longer than `DOCTOR_LIMITS.probeMs`; so many at a time, those that are reached first. */
  probesAtOnce: 16,
  /** Of one round so many are asked again that were lost before: one a second. */
  lostPerRound: 5,
  /** A node that is silent for this long counts as lost. Together with a round and a request, this is well within the guaranteed 90 s. */
  lostMs: 75_000,
} as const;

/** An active registered node at the time of a round. */
export interface WatchedNode {
  readonly id: string;
  /** Over libp2p, where a supervisor pings. */
  readonly connected: boolean;
  /** Whether it has a URL to be asked at. */
  readonly hasUrl: boolean;
}

interface Reach {
  firstSeenAt: number;
  lastContactAt: number | undefined;
  nextProbeAt: number;
  probing: boolean;
  /** How the last question ended; undefined before the first one. */
  answered: boolean | undefined;
  /** What was last reported about it. */
  reported: 'nothing' | 'reached' | 'lost';
}

/** Made by `emptyReach`, changed only by `round`, `contact` and `probed`. */
export interface ReachState {
  readonly nodes: Map<string, Reach>;
  lastRoundAt: number | undefined;
}

export interface ReachEffects {
  readonly probes: readonly string[];
  /** Each once per transition; those never reached since the start too. */
  readonly lost: readonly string[];
  /** Reached again after they were lost. */
  readonly back: readonly string[];
}

export function emptyReach(): ReachState {
  return { nodes: new Map(), lastRoundAt: undefined };
}

export function isReached(state: ReachState, id: string, now: number): boolean {
  const lastContactAt = state.nodes.get(id)?.lastContactAt;
  return lastContactAt !== undefined && now - lastContactAt < REACH_LIMITS.lostMs;
}

/** Something was heard from the node itself. */
export function contact(state: ReachState, id: string, now: number): void {
  const reach = state.nodes.get(id);
  if (reach === undefined) state.nodes.set(id, newReach(now, now));
  else reach.lastContactAt = now;
}

/** A question was answered, or not; `random` is in [0, 1). */
export function probed(
  state: ReachState,
  id: string,
  answered: boolean,
  now: number,
  random: () => number,
): void {
  const reach = state.nodes.get(id);
  if (reach === undefined) return;
  reach.probing = false;
  reach.answered = answered;
  if (answered) reach.lastContactAt = now;
  reach.nextProbeAt =
    now + (isReached(state, id, now) ? REACH_LIMITS.probeMs : lostWait(state, reach, now, random()));
}

/** It grows with the silence and with the number of those that are lost. */
function lostWait(state: ReachState, reach: Reach, now: number, random: number): number {
  const { lostProbeMs, lostShare, perLostMs } = REACH_LIMITS;
  let lost = 0;
  for (const { reported } of state.nodes.values()) if (reported === 'lost') lost++;
  const silent = now - (reach.lastContactAt ?? reach.firstSeenAt);
  const wait = Math.min(silent * lostShare, lost * perLostMs);
  return wait <= lostProbeMs ? lostProbeMs : Math.max(lostProbeMs, wait * (0.5 + random / 2));
}

/** The result of a round and the probes to send; each probe is answered by `probed`. */
export function round(state: ReachState, nodes: readonly WatchedNode[], now: number): ReachEffects {
  forgiveStandstill(state, now);
  const present = new Set(nodes.map(({ id }) => id));
  for (const id of state.nodes.keys()) if (!present.has(id)) state.nodes.delete(id);
  const lost: string[] = [];
  const back: string[] = [];
  const due: DueProbe[] = [];
  for (const node of nodes) {
    const reach = seen(state, node, now);
    const reached = isReached(state, node.id, now);
    const over = now - (reach.lastContactAt ?? reach.firstSeenAt) >= REACH_LIMITS.lostMs;
    if (over && reach.reported !== 'lost') {
      reach.reported = 'lost';
      lost.push(node.id);
    } else if (reached) {
      if (reach.reported === 'lost') back.push(node.id);
      reach.reported = 'reached';
    }
    if (!node.connected && node.hasUrl && !reach.probing && now >= reach.nextProbeAt)
      due.push({
        id: node.id,
        rank: reached ? 0 : reach.answered === undefined ? 1 : 2,
        at: reach.nextProbeAt,
      });
  }
  return { probes: startProbes(state, due), lost, back };
}

function newReach(now: number, lastContactAt: number | undefined): Reach {
  return {
    firstSeenAt: now,
    lastContactAt,
    nextProbeAt: now,
    probing: false,
    answered: undefined,
    reported: 'nothing',
  };
}

function seen(state: ReachState, { id, connected }: WatchedNode, now: number): Reach {
  const known = state.nodes.get(id);
  const reach = known ?? newReach(now, undefined);
  if (known === undefined) state.nodes.set(id, reach);
  if (connected) {
    reach.lastContactAt = now;
    reach.nextProbeAt = now; // at once when the connection is gone
  }
  return reach;
}

/** A question that is due: of one that is reached, that was not asked yet, or that is lost. */
interface DueProbe {
  readonly id: string;
  readonly rank: 0 | 1 | 2;
  readonly at: number;
}

/** Reached nodes come first: however much time dead ones take, no live one is lost because of it. */
function startProbes(state: ReachState, due: DueProbe[]): string[] {
  const { probesAtOnce, lostPerRound } = REACH_LIMITS;
  const running = [...state.nodes.values()].filter(({ probing }) => probing).length;
  due.sort((a, b) => a.rank - b.rank || a.at - b.at);
  const alive = due.findIndex(({ rank }) => rank === 2);
  const most = alive === -1 ? due.length : alive + lostPerRound;
  const probes = due.slice(0, Math.max(0, Math.min(probesAtOnce - running, most))).map(({ id }) => id);
  for (const id of probes) {
    const reach = state.nodes.get(id);
    if (reach !== undefined) reach.probing = true;
  }
  return probes;
}

/** While this process was suspended nobody could be heard, which says nothing about the others. */
function forgiveStandstill(state: ReachState, now: number): void {
  const late = state.lastRoundAt === undefined ? 0 : now - state.lastRoundAt - REACH_LIMITS.roundMs;
  state.lastRoundAt = now;
  if (late < 2 * REACH_LIMITS.roundMs) return;
  for (const reach of state.nodes.values()) {
    reach.firstSeenAt += late;
    if (reach.lastContactAt !== undefined) reach.lastContactAt += late;
  }
}
