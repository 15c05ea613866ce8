import type { Entry } from '../protocols/feed/entry.ts';
import { placedOps } from '../protocols/ledger/placed-ops.ts';
import type { PlacedOp } from '../protocols/open-dialog/record.ts';

/** Bytes of entries kept: a few of the largest. */
const KEPT_BYTES = 4 * 1024 * 1024;

/**
 * The ops of the entries read last, by their index: when many records are evaluated again, their ops are in few entries, and each
 * would read them again.
 */
export class EntryCache {
  readonly #entries = new Map<
    string,
    { readonly bytes: number; readonly ops: ReadonlyMap<number, PlacedOp> }
  >();
  #bytes = 0;

  get(feedNo: number, seq: number): ReadonlyMap<number, PlacedOp> | undefined {
    return this.#entries.get(`${feedNo} ${seq}`)?.ops;
  }

  add(feedNo: number, entry: Entry): ReadonlyMap<number, PlacedOp> {
    const ops = new Map(placedOps(entry).map((placed) => [placed.index, placed]));
    this.drop(feedNo, entry.header.seq);
    this.#entries.set(`${feedNo} ${entry.header.seq}`, { bytes: entry.bytes.length, ops });
    this.#bytes += entry.bytes.length;
    for (const [oldest, { bytes }] of this.#entries) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#entries.delete(oldest);
      this.#bytes -= bytes;
    }
    return ops;
  }

  /** The entry has changed on disk. */
  drop(feedNo: number, seq: number): void {
    const id = `${feedNo} ${seq}`;
    this.#bytes -= this.#entries.get(id)?.bytes ?? 0;
    this.#entries.delete(id);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
