import { giveBack, type TokenBucket } from '../token-bucket.ts';
import { emptyHearsay, type Hearsay, isBelieved, provedTrue } from './hearsay.ts';

/**
 * What the peer supervisor knows, and how events change it; whom to dial, ping and close is in supervisor-decisions.ts. Pure: state and
 * time in, no I/O.
 *
 * Registered peers are redialled for ever, each on its own clock, so that a dead one holds up nobody. The wait grows
 * with the outage, not with the number of tries: after 30 s away the next try is at most 7.5 s off, after six minutes
 * it reaches 90 s. Beyond that it grows with the number of those that are absent, two seconds for each, so that a
 * thousand of them cost no more than fifty; and redials that fail have a budget together, so that they never come in
 * a burst. Who is absent for long is found again by its own dial, or by what is heard of it: at any contact the wait is
 * forgotten. When a peer comes back, those that were lost when it was lost are tried at once, because then it was
 * probably our own network.
 */

/** Limits and times of the supervisor, each with its reason. Times are milliseconds. */
export const SUPERVISOR_LIMITS = {
  /** Dials at once; candidates may have half of them. */
  dials: 4,
  /** Connecting and the handshake: a dozen round trips over a satellite. */
  dialMs: 5000,
  /** A dial that fails immediately must not be repeated immediately. */
  backoffMinMs: 1000,
  /** How soon a peer that was away for long is found after it is back, while few peers are absent. */
  backoffMaxMs: 90_000,
  /** With many absent peers, the longest wait grows by this much per peer: two dials in three seconds, however many there are. */
  backoffPerAbsentMs: 2000,
  /** The sustained interval of failing redials. First dials, and those to peers just heard from, do not count. */
  redialEveryMs: 1000,
  /** Of them so many at once, when the budget was not used for a while. */
  redialBurst: 16,
  /** The share of concurrent dials for redials, so that a peer that has just been heard from finds a free one. */
  redials: 3,
  /** The next try comes after this share of the outage at most. */
  outageShare: 1 / 4,
  /** A connection that lasted less than this did not end the outage. */
  stableMs: 5000,
  /** When the network is back, all peers are dialled within this time, not at the same instant. */
  spreadMs: 1000,
  /** How much later than at another peer the loss of a network may be noticed: the time of a ping and its timeout. */
  togetherMs: 15_000,
  /** A blackholed connection is found within this and `pingTimeoutMs`. */
  pingMs: 5000,
  /** A stranger that is gone frees its slot within this and `pingTimeoutMs`; nobody waits for it sooner. */
  strangerPingMs: 30_000,
  /** One round trip; the slowest satellite line takes one second. */
  pingTimeoutMs: 4000,
  /** Candidates kept; the one heard from longest ago is evicted first. */
  candidates: 256,
  /** A candidate that failed so often is forgotten until somebody names it again. */
  candidateTries: 3,
  registered: 4096,
  bootstrap: 64,
} as const;

/** What the supervisor may dial: a peer (by its id), or an address whose peer is not known yet. */
export type Target = { readonly kind: 'registered' | 'candidate'; readonly peerId: string } | BootstrapTarget;
export interface BootstrapTarget {
  readonly kind: 'bootstrap';
  readonly address: string;
}

export interface Entry {
  readonly target: Target;
  /** Of a bootstrap address only once it has been reached. */
  peerId: string | undefined;
  dialing: boolean;
  tries: number;
  /** When it was lost or first wanted; undefined while it is stably connected. */
  outageSince: number | undefined;
  nextTryAt: number;
  /** How long the wait up to `nextTryAt` was. */
  wait: number;
  /** The peer has been heard from: its dial goes before all others. */
  heardFrom: boolean;
  /** Who said that it is there, until a dial has shown. */
  saidBy?: string;
}

interface Link {
  readonly id: string;
  readonly peerId: string;
  readonly openedAt: number;
  nextPingAt: number;
  pinging: boolean;
  dead: boolean;
}

/** All the supervisor knows. Made by `emptyState`, changed only by `apply` and `decide`. */
export interface SupervisorState {
  readonly self: string;
  readonly targetDegree: number;
  readonly entries: Map<string, Entry>;
  readonly links: Map<string, Link>;
  networkBackAt: number;
  /** Unless something happens, nothing is to be dialled before. */
  idleUntil: number;
  /** The budget for failing redials, and when it was last updated. */
  readonly redials: TokenBucket;
  readonly hearsay: Hearsay;
}

/** What happened. */
export type SupervisorEvent =
  | { readonly type: 'registered'; readonly peerIds: readonly string[] }
  | { readonly type: 'bootstrap'; readonly addresses: readonly string[] }
  | { readonly type: 'candidate'; readonly peerId: string }
  | { readonly type: 'opened'; readonly linkId: string; readonly peerId: string }
  | { readonly type: 'closed'; readonly linkId: string }
  | { readonly type: 'dialled'; readonly key: string; readonly peerId: string }
  | { readonly type: 'dial-failed'; readonly key: string; readonly forGood?: boolean }
  /** `inconclusive`: our own event loop was blocked meanwhile, which says nothing about the peer. */
  | { readonly type: 'pinged'; readonly linkId: string; readonly result: 'ok' | 'failed' | 'inconclusive' }
  /** It was heard from, or registered. */
  | { readonly type: 'dial-now'; readonly peerId: string }
  /** `from` says that it is there: its dial still counts as a redial. */
  | { readonly type: 'heard-of'; readonly peerId: string; readonly from: string };

export function emptyState(self: string, targetDegree: number): SupervisorState {
  const redials = { left: SUPERVISOR_LIMITS.redialBurst, at: -Infinity };
  const [networkBackAt, idleUntil] = [-Infinity, -Infinity];
  const [entries, links, hearsay] = [new Map(), new Map(), emptyHearsay()];
  return { self, targetDegree, entries, links, networkBackAt, idleUntil, redials, hearsay };
}

export function keyOf(target: Target): string {
  return target.kind === 'bootstrap' ? target.address : target.peerId;
}

/** Milliseconds until the next try after an outage of `outageMs`, while so many are absent; `random` is in [0, 1). */
export function backoff(outageMs: number, random: number, absent = 0): number {
  const { outageShare, backoffMinMs, backoffMaxMs, backoffPerAbsentMs } = SUPERVISOR_LIMITS;
  const most = Math.max(backoffMaxMs, absent * backoffPerAbsentMs);
  const cap = Math.min(Math.max(outageMs * outageShare, backoffMinMs), most);
  return cap * (0.5 + random / 2);
}

/** Takes in what happened. */
export function apply(
  state: SupervisorState,
  event: SupervisorEvent,
  now: number,
  random: () => number,
): void {
  state.idleUntil = -Infinity;
  switch (event.type) {
    case 'registered':
      return setRegistered(state, event.peerIds, now);
    case 'bootstrap':
      for (const address of event.addresses.slice(0, SUPERVISOR_LIMITS.bootstrap)) {
        if (!state.entries.has(address)) add(state, { kind: 'bootstrap', address }, now);
      }
      return;
    case 'candidate':
      if (event.peerId !== state.self && !state.entries.has(event.peerId)) {
        makeRoom(state);
        add(state, { kind: 'candidate', peerId: event.peerId }, now);
      }
      return;
    case 'opened':
      return opened(state, event.linkId, event.peerId, now, random);
    case 'closed':
      return closed(state, event.linkId, now, random);
    case 'dialled':
    case 'dial-failed': {
      const entry = state.entries.get(event.key);
      if (entry === undefined) return;
      entry.dialing = false;
      return event.type === 'dialled'
        ? dialled(state, entry, event.peerId, now, random)
        : dialFailed(state, entry, event.forGood === true, now, random);
    }
    case 'pinged': {
      const link = state.links.get(event.linkId);
      if (link === undefined) return;
      link.pinging = false;
      link.dead = event.result === 'failed';
      if (event.result === 'inconclusive') link.nextPingAt = now;
      return;
    }
    case 'dial-now': {
      const entry = state.entries.get(event.peerId);
      if (entry === undefined) return;
      if (!entry.dialing) entry.tries = 0;
      return heard(entry, now);
    }
    case 'heard-of':
      return heardOf(state, event.peerId, event.from, now);
  }
}

function dialled(
  state: SupervisorState,
  entry: Entry,
  peerId: string,
  now: number,
  random: () => number,
): void {
  if (entry.tries > 0) giveBack(state.redials, SUPERVISOR_LIMITS.redialBurst);
  entry.tries = 0;
  if (entry.saidBy !== undefined) provedTrue(state.hearsay, entry.saidBy);
  delete entry.saidBy;
  entry.peerId = peerId;
  // should the connection be gone again already, the next try still waits
  retryIn(entry, backoff(0, random()), now);
}

function heardOf(state: SupervisorState, peerId: string, from: string, now: number): void {
  const entry = state.entries.get(peerId);
  if (entry?.target.kind !== 'registered' || entry.heardFrom || entry.dialing) return;
  if (!isBelieved(state.hearsay, from, now)) return;
  entry.saidBy = from;
  heard(entry, now);
}

function dialFailed(
  state: SupervisorState,
  entry: Entry,
  forGood: boolean,
  now: number,
  random: () => number,
): void {
  delete entry.saidBy;
  entry.tries++;
  entry.outageSince ??= now;
  // what was heard meanwhile may have other addresses than this dial has tried
  const outage = entry.heardFrom ? 0 : now - entry.outageSince;
  retryIn(entry, backoff(outage, random(), absentOf(state)), now);
  const tired = entry.target.kind === 'candidate' && entry.tries >= SUPERVISOR_LIMITS.candidateTries;
  if (forGood || tired) state.entries.delete(keyOf(entry.target));
}

function add(state: SupervisorState, target: Target, now: number): void {
  const peerId = target.kind === 'bootstrap' ? /\/p2p\/([^/]+)$/.exec(target.address)?.[1] : target.peerId;
  if (peerId === state.self) return;
  state.entries.set(keyOf(target), {
    target,
    peerId,
    dialing: false,
    tries: 0,
    outageSince: now,
    nextTryAt: now,
    wait: SUPERVISOR_LIMITS.backoffMinMs,
    heardFrom: false,
  });
}

function heard(entry: Entry, now: number): void {
  entry.nextTryAt = Math.min(entry.nextTryAt, now);
  entry.heardFrom = true;
}

/** How many of those that are redialled for ever are not connected. */
function absentOf(state: SupervisorState): number {
  let absent = 0;
  for (const { outageSince, target } of state.entries.values())
    if (outageSince !== undefined && target.kind !== 'candidate') absent++;
  return absent;
}

function retryIn(entry: Entry, wait: number, now: number): void {
  entry.wait = Math.max(wait, SUPERVISOR_LIMITS.backoffMinMs);
  entry.nextTryAt = now + wait;
}

function makeRoom(state: SupervisorState): void {
  const candidates = [...state.entries.values()].filter((entry) => entry.target.kind === 'candidate');
  if (candidates.length < SUPERVISOR_LIMITS.candidates) return;
  const oldest =
    candidates.find((entry) => !entry.dialing && !isConnected(state, entry.peerId)) ?? candidates[0];
  if (oldest !== undefined) state.entries.delete(keyOf(oldest.target));
}

function setRegistered(state: SupervisorState, peerIds: readonly string[], now: number): void {
  const wanted = new Set(peerIds.slice(0, SUPERVISOR_LIMITS.registered));
  wanted.delete(state.self);
  for (const [key, entry] of state.entries) {
    if (entry.target.kind === 'registered' && !wanted.has(key)) state.entries.delete(key);
  }
  for (const peerId of wanted) {
    const before = state.entries.get(peerId);
    if (before?.target.kind === 'registered') continue;
    add(state, { kind: 'registered', peerId }, now);
    const entry = state.entries.get(peerId);
    // a running dial continues under its new kind
    if (before?.dialing === true && entry !== undefined) entry.dialing = true;
    for (const link of state.links.values()) {
      if (link.peerId === peerId) link.nextPingAt = Math.min(link.nextPingAt, now + SUPERVISOR_LIMITS.pingMs);
    }
  }
}

function isConnected(state: SupervisorState, peerId: string | undefined): boolean {
  if (peerId === undefined) return false;
  for (const link of state.links.values()) if (link.peerId === peerId && !link.dead) return true;
  return false;
}

/** The entries of a peer: itself, and the bootstrap addresses that led to it. */
function entriesOf(state: SupervisorState, peerId: string): Entry[] {
  return [...state.entries.values()].filter((entry) => entry.peerId === peerId);
}

function opened(state: SupervisorState, id: string, peerId: string, now: number, random: () => number): void {
  if (state.links.has(id)) return;
  const own = state.entries.get(peerId);
  const registered = own?.target.kind === 'registered';
  const lostAt = registered && !isConnected(state, peerId) ? own.outageSince : undefined;
  const every = registered ? SUPERVISOR_LIMITS.pingMs : SUPERVISOR_LIMITS.strangerPingMs;
  const nextPingAt = now + every * (0.5 + random() / 2);
  state.links.set(id, { id, peerId, openedAt: now, nextPingAt, pinging: false, dead: false });
  for (const entry of entriesOf(state, peerId)) {
    // a running dial is already charged, and reported by `dialled`
    if (!entry.dialing) entry.tries = 0;
    entry.nextTryAt = now;
  }
  if (lostAt === undefined || now - state.networkBackAt < SUPERVISOR_LIMITS.stableMs) return;
  state.networkBackAt = now;
  for (const entry of state.entries.values()) {
    if (entry.target.kind === 'candidate' || isConnected(state, entry.peerId)) continue;
    if ((entry.outageSince ?? now) < lostAt - SUPERVISOR_LIMITS.togetherMs) continue;
    entry.nextTryAt = Math.min(entry.nextTryAt, now + random() * SUPERVISOR_LIMITS.spreadMs);
    entry.heardFrom = true;
  }
}

function closed(state: SupervisorState, id: string, now: number, random: () => number): void {
  const link = state.links.get(id);
  if (link === undefined) return;
  state.links.delete(id);
  if (isConnected(state, link.peerId)) return;
  const stable = now - link.openedAt >= SUPERVISOR_LIMITS.stableMs;
  for (const entry of entriesOf(state, link.peerId)) {
    if (stable || entry.outageSince === undefined) entry.outageSince = now;
    entry.heardFrom = stable;
    // at once after a connection that had lasted, a little apart so that both sides do not dial in the same instant
    retryIn(entry, stable ? random() * 250 : backoff(now - entry.outageSince, random()), now);
  }
}
