import type { OpRef } from '../open-dialog/record.ts';
import { LIMITS } from '../wire/limits.ts';

/** An entry of which these ops stay. */
interface EvidenceEntry {
  readonly epoch: string;
  readonly seq: number;
  readonly indexes: ReadonlySet<number>;
}

/** Entries whose ops are put in order together. */
const ENTRIES_AT_ONCE = 16;

/**
 * Places of ops that stay as evidence. They come in the order of their records and are taken in that of their feeds: kept in stretches of a
 * few entries, so that ordering them takes no time at once, however many they are.
 */
export class EvidencePlaces {
  readonly #epochs = new Map<string, Map<number, number[]>>();

  add({ epoch, seq, index }: Pick<OpRef, 'epoch' | 'seq' | 'index'>): void {
    const stretches = this.#epochs.get(epoch) ?? new Map<number, number[]>();
    this.#epochs.set(epoch, stretches);
    const at = Math.floor(seq / ENTRIES_AT_ONCE);
    const place = seq * LIMITS.entryOps + index;
    const stretch = stretches.get(at);
    if (stretch === undefined) stretches.set(at, [place]);
    else stretch.push(place);
  }

  /** Entry after entry, ascending by epoch and sequence. */
  *inOrder(): Generator<EvidenceEntry> {
    for (const [epoch, stretches] of [...this.#epochs].sort(([a], [b]) => (a < b ? -1 : 1)))
      for (const at of Float64Array.from(stretches.keys()).sort()) {
        const places = Float64Array.from(stretches.get(at) ?? []).sort();
        const seqs = Map.groupBy(places, (place) => Math.floor(place / LIMITS.entryOps));
        for (const [seq, ops] of seqs)
          yield { epoch, seq, indexes: new Set(ops.map((place) => place % LIMITS.entryOps)) };
      }
  }
}
