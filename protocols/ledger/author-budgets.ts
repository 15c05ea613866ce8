import type { PeerId } from '../wire/identity.ts';

/**
 * Evaluating a record completely costs time in proportion to its number of ops. What an author's entries and forks cost beyond a
 * free allowance is owed and reduced at a fixed share of real time; above the limit the author's entries are ignored, and catch-up
 * fetches them later. Milliseconds.
 */
export const AUTHOR_BUDGET = { freeMs: 50, freeMsPerOp: 5, owedMs: 10_000, share: 0.25 } as const;

/** What authors owe whose ops are unusually expensive: only their own entries are delayed. */
export class AuthorBudgets {
  readonly #monotonic: () => number;
  readonly #owing = new Map<PeerId, { owed: number; at: number }>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  isExceeded(author: PeerId): boolean {
    return this.#owed(author) > AUTHOR_BUDGET.owedMs;
  }

  /** What this many ops of an author have cost, in milliseconds of this thread's CPU and of the merging worker. */
  charge(author: PeerId, ops: number, ms: number): void {
    const cost = ms - AUTHOR_BUDGET.freeMs - ops * AUTHOR_BUDGET.freeMsPerOp;
    if (cost > 0) this.#owing.set(author, { owed: this.#owed(author) + cost, at: this.#monotonic() });
  }

  #owed(author: PeerId): number {
    const known = this.#owing.get(author);
    if (known === undefined) return 0;
    return Math.max(0, known.owed - (this.#monotonic() - known.at) * AUTHOR_BUDGET.share);
  }
}
