import type { Entry } from '../feed/entry.ts';
import type { PeerId } from '../wire/identity.ts';

/**
 * Judging a record anew costs time in proportion to all ops it has. What an author's entries cost beyond the free part is owed,
 * runs off at a share of the clock, and above the bound its entries are ignored; catch-up brings them later. Milliseconds.
 */
const JUDGING = { freeMs: 50, freeMsPerOp: 5, owedMs: 10_000, share: 0.25 } as const;

/** Local writes wait while the records of others are judged: an author whose ops cost out of proportion waits himself. */
export class JudgingDebts {
  readonly #now: () => number;
  readonly #debts = new Map<PeerId, { owed: number; at: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  isOver(author: PeerId): boolean {
    return this.#owed(author) > JUDGING.owedMs;
  }

  /** What judging these entries has cost, in milliseconds. */
  charge(entries: readonly Entry[], ms: number): void {
    const ops = entries.reduce((sum, { header }) => sum + header.n, 0);
    const cost = ms - JUDGING.freeMs - ops * JUDGING.freeMsPerOp;
    if (cost <= 0) return;
    const authors = new Set(entries.map(({ author }) => author));
    for (const author of authors)
      this.#debts.set(author, { owed: this.#owed(author) + cost / authors.size, at: this.#now() });
  }

  #owed(author: PeerId): number {
    const known = this.#debts.get(author);
    return known === undefined ? 0 : Math.max(0, known.owed - (this.#now() - known.at) * JUDGING.share);
  }
}
