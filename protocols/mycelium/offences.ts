import { LRUCache } from 'lru-cache';
import { atMost } from '../lru-bound.ts';

/** The consequences for a peer that has sent what no honest node can have sent. */
export const OFFENCE_LIMITS = {
  /** How long nothing is pulled from it and its frontiers are ignored, milliseconds; doubled after each further offence. */
  firstMs: 60_000,
  /** The longest of these times. */
  mostMs: 60 * 60_000,
  /** Without an offence for this long, its record is cleared: the disk may have been repaired, or the version upgraded. */
  forgottenMs: 24 * 60 * 60_000,
  /** Peers remembered; the one that offended longest ago is forgotten first. */
  remembered: 2048,
} as const;

/** Codes of what only a faulty or hostile sender can cause; what a network or a full disk causes is not among them. */
const INVALID: ReadonlySet<string> = new Set([
  'attachment-differs',
  'attachment-malformed',
  'frame-malformed',
  'frame-too-long',
  'frontier-malformed',
  'message-malformed',
  'not-asked-for',
  'not-canonical',
  'peer-sent-invalid',
  'range-malformed',
  'snapshot-differs',
  'snapshot-malformed',
]);

interface Offender {
  readonly count: number;
  readonly at: number;
  readonly until: number;
}

/** Peers that are left alone for a while because of what they have sent. In memory: a restart is a new chance. */
export class Offences {
  readonly #offenders = new LRUCache<string, Offender>(atMost(OFFENCE_LIMITS.remembered));

  /**
   * Records how an exchange with a peer failed. Returns for how long the peer is disregarded, milliseconds; undefined when it is not
   * an offence.
   */
  note(peer: string, code: string, now: number): number | undefined {
    if (!INVALID.has(code)) return undefined;
    const known = this.#offenders.peek(peer);
    const fresh = known === undefined || now - known.at >= OFFENCE_LIMITS.forgottenMs;
    // Exchanges that were under way together are one offence.
    const count = fresh ? 1 : now < known.until ? known.count : known.count + 1;
    const ms = Math.min(OFFENCE_LIMITS.firstMs * 2 ** (count - 1), OFFENCE_LIMITS.mostMs);
    this.#offenders.set(peer, { count, at: now, until: now + ms });
    return ms;
  }

  /** The operator has taken the peer up again. */
  forgive(peer: string): void {
    this.#offenders.delete(peer);
  }

  /** Whether the peer is being left alone. */
  isOut(peer: string, now: number): boolean {
    return now < (this.#offenders.peek(peer)?.until ?? 0);
  }
}
