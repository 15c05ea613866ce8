import { type Change, changeHash, decodeChange, encodeChange } from './change.ts';
import type { DocumentFloor, FloorValue } from './floor.ts';

/**
 * The changes of a document above a floor as Automerge can merge them, for which a change must be there with all that it depends on. What
 * stands for the floor sets each value by its own op id, one change for each, those of an actor upon one another; the changes above follow
 * these, so they have other sequences and hashes than they were signed with. Op ids are the same, and those alone decide what is
 * visible and what wins. None of it leaves the worker.
 */
export class FlooredChanges {
  readonly changes: Uint8Array[] = [];
  readonly #floor: DocumentFloor;
  /** What stands for the heads of the floor. */
  readonly #heads: string[];
  /** By the hash that a change was signed with. */
  readonly #hashes = new Map<string, string>();
  readonly #seqs = new Map<string, number>();

  constructor(genesis: string, floor: DocumentFloor, above: readonly Uint8Array[]) {
    this.#floor = floor;
    const last = new Map<string, string>();
    for (const value of floor.values.toSorted((a, b) => a.counter - b.counter))
      last.set(value.actor, this.#add(standIn(value, last.get(value.actor) ?? genesis)));
    this.#heads = last.size === 0 ? [genesis] : [...last.values()].sort();
    for (const bytes of above) {
      const change = decodeChange(bytes);
      this.#hashes.set(change.hash, this.#add({ ...change, deps: this.names(change.deps) }));
    }
  }

  /** What changes are called here that were signed with these hashes, sorted. */
  names(hashes: readonly string[]): string[] {
    const names = hashes.flatMap((hash) => {
      const known = this.#hashes.get(hash);
      if (known !== undefined) return [known];
      return this.#floor.heads.includes(hash) ? this.#heads : [];
    });
    return [...new Set(names)].sort();
  }

  /** Its hash. */
  #add(change: Omit<Change, 'seq'>): string {
    const seq = (this.#seqs.get(change.actor) ?? 0) + 1;
    this.#seqs.set(change.actor, seq);
    const bytes = encodeChange({ ...change, seq });
    this.changes.push(bytes);
    return changeHash(bytes);
  }
}

function standIn({ actor, counter, field, value }: FloorValue, after: string): Omit<Change, 'seq'> {
  return {
    actor,
    startOp: counter,
    time: 0,
    deps: [after],
    ops: [{ action: 'set', field, value, pred: [] }],
  };
}
