import { refill } from '../token-bucket.ts';
import {
  type Entry,
  keyOf,
  SUPERVISOR_LIMITS,
  type SupervisorState,
  type Target,
} from './supervisor-core.ts';

/** The actions to take; each dial is answered by `dialled` or `dial-failed`, each ping by `pinged`. */
interface SupervisorEffects {
  readonly dials: readonly { readonly key: string; readonly target: Target; readonly attempt: number }[];
  readonly pings: readonly string[];
  readonly closes: readonly string[];
}

/** The actions due now. Marks those it returns as in progress. */
export function decide(state: SupervisorState, now: number, random: () => number): SupervisorEffects {
  return { ...decideLinks(state, now, random), dials: decideDials(state, now) };
}

function decideLinks(
  state: SupervisorState,
  now: number,
  random: () => number,
): Pick<SupervisorEffects, 'pings' | 'closes'> {
  const pings: string[] = [];
  const closes: string[] = [];
  for (const link of state.links.values()) {
    if (link.dead) {
      closes.push(link.id);
      continue;
    }
    if (link.pinging || now < link.nextPingAt) continue;
    const registered = state.entries.get(link.peerId)?.target.kind === 'registered';
    const every = registered ? SUPERVISOR_LIMITS.pingMs : SUPERVISOR_LIMITS.strangerPingMs;
    link.pinging = true;
    link.nextPingAt = now + every * (0.8 + random() * 0.4);
    pings.push(link.id);
  }
  return { pings, closes };
}

function decideDials(state: SupervisorState, now: number): SupervisorEffects['dials'] {
  if (now < state.idleUntil) return [];
  const links = [...state.links.values()].filter((link) => !link.dead);
  const connected = new Set(links.map(({ peerId }) => peerId));
  const stable = new Set(
    links.filter(({ openedAt }) => now - openedAt >= SUPERVISOR_LIMITS.stableMs).map(({ peerId }) => peerId),
  );
  refill(state.redials, SUPERVISOR_LIMITS.redialBurst, SUPERVISOR_LIMITS.redialEveryMs, now);
  const due: Entry[] = [];
  let dialing = 0;
  let redialing = 0;
  let candidatesDialing = 0;
  let next = Infinity;
  for (const entry of state.entries.values()) {
    if (entry.dialing) {
      dialing++;
      if (isRedial(entry)) redialing++;
      if (entry.target.kind === 'candidate') candidatesDialing++;
    } else if (entry.peerId !== undefined && connected.has(entry.peerId)) {
      if (stable.has(entry.peerId)) entry.outageSince = undefined;
      else next = now;
    } else if (now < entry.nextTryAt) {
      next = Math.min(next, entry.nextTryAt);
    } else if (state.redials.left >= 1 || !isRedial(entry)) {
      due.push(entry);
    } else {
      next = Math.min(next, now + (1 - state.redials.left) * SUPERVISOR_LIMITS.redialEveryMs);
    }
  }
  // If something due finds no free dial, it is checked again at once.
  state.idleUntil = due.length > 0 ? now : next;
  due.sort(
    (a, b) =>
      Number(b.heardFrom) - Number(a.heardFrom) || rank(a) - rank(b) || overdue(b, now) - overdue(a, now),
  );

  const dials: SupervisorEffects['dials'][number][] = [];
  let degree = connected.size + candidatesDialing;
  for (const entry of due) {
    if (dialing >= SUPERVISOR_LIMITS.dials) break;
    const redial = isRedial(entry);
    if (redial && (redialing >= SUPERVISOR_LIMITS.redials || state.redials.left < 1)) continue;
    if (entry.target.kind === 'candidate') {
      if (degree >= state.targetDegree || candidatesDialing * 2 >= SUPERVISOR_LIMITS.dials) continue;
      candidatesDialing++;
      degree++;
    }
    if (redial) {
      redialing++;
      state.redials.left--;
    }
    dialing++;
    entry.dialing = true;
    entry.heardFrom = false;
    dials.push({ key: keyOf(entry.target), target: entry.target, attempt: entry.tries });
  }
  return dials;
}

/** Candidates are few, and forgotten soon: they have their own bounds. */
function isRedial({ tries, target }: Entry): boolean {
  return tries > 0 && target.kind !== 'candidate';
}

/**
 * How late a try is, in units of its own wait. A peer lost just now soon overtakes those long dead, and yet every one
 * comes to its turn, however many of them swallow their five seconds.
 */
function overdue(entry: Entry, now: number): number {
  return (now - entry.nextTryAt) / entry.wait;
}

/** Registered peers before bootstrap addresses before candidates. */
function rank(entry: Entry): number {
  switch (entry.target.kind) {
    case 'registered':
      return 0;
    case 'bootstrap':
      return 1;
    case 'candidate':
      return 2;
  }
}
