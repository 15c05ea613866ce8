import type { PeerId } from '../wire/identity.ts';

/**
 * Judging a record anew costs time in proportion to all ops it has. What an author's entries and forks cost beyond the free part is
 * owed, runs off at a share of the clock, and above the bound its entries are ignored; catch-up brings them later. Milliseconds.
 */
export const JUDGING = { freeMs: 50, freeMsPerOp: 5, owedMs: 10_000, share: 0.25 } as const;

/** What authors owe whose ops cost out of proportion: they wait themselves, and not those beside them. */
export class JudgingDebts {
  readonly #now: () => number;
  readonly #debts = new Map<PeerId, { owed: number; at: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  isOver(author: PeerId): boolean {
    return this.#owed(author) > JUDGING.owedMs;
  }

  /** What so many ops of an author have cost, in milliseconds of this thread's CPU and of the judging worker. */
  charge(author: PeerId, ops: number, ms: number): void {
    const cost = ms - JUDGING.freeMs - ops * JUDGING.freeMsPerOp;
    if (cost > 0) this.#debts.set(author, { owed: this.#owed(author) + cost, at: this.#now() });
  }

  #owed(author: PeerId): number {
    const known = this.#debts.get(author);
    return known === undefined ? 0 : Math.max(0, known.owed - (this.#now() - known.at) * JUDGING.share);
  }
}
