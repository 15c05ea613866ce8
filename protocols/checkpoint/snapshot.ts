import { type BodyItem, type Entry, withBody } from '../feed/entry.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import type { Floor } from '../open-dialog/floor.ts';
import { sha256 } from '../wire/bytes.ts';
import { type Chunk, ChunkWriter, entryItem } from './chunk.ts';
import { floorOrder, hasItems } from './floor.ts';
import { coverItem, floorItems } from './items.ts';
import { OwnerSums } from './owner-sums.ts';
import type { SnapshotList } from './snapshot-list.ts';
import type { CheckpointStatement } from '../feed/checkpoint.ts';

/** What a statement says of a snapshot. */
export type SnapshotSums = Pick<CheckpointStatement, 'digest' | 'count' | 'bytes' | 'chunks' | 'evidence'>;

/** Told of each chunk as it ends; those of a list come in order. */
export type OnChunk = (chunk: Chunk, list: SnapshotList) => void;

/**
 * Makes an author's snapshot: its covers, then the floors of its records in their order, then the entries that stay as evidence in
 * theirs. Chunks are told to `onChunk` as they end and not kept, so it takes the memory of two.
 */
export class SnapshotBuilder {
  readonly #onChunk: OnChunk;
  readonly #records = new ChunkWriter();
  readonly #evidence = new ChunkWriter();
  readonly #sums = new OwnerSums();
  #last: Floor['key'] | undefined;
  #entries = 0;

  constructor(covers: readonly FrontierItem[], onChunk: OnChunk = () => undefined) {
    this.#onChunk = onChunk;
    for (const cover of covers) this.#tell(this.#records.add(coverItem(cover)), 'records');
  }

  /** Takes the next record in, item by item. Of what stays as evidence only its element is taken. */
  *add(floor: Floor): Generator<void> {
    if (this.#last !== undefined && floorOrder(this.#last, floor.key) >= 0)
      throw new TypeError(`${floor.key} is out of order`);
    this.#last = floor.key;
    this.#sums.add(floor);
    if (!hasItems(floor)) return;
    for (const item of floorItems(floor)) {
      this.#tell(this.#records.add(item), 'records');
      yield;
    }
  }

  /** Takes the next entry in: its ops at these indexes are evidence, and the others stand as their hashes. */
  keep(entry: Entry, indexes: ReadonlySet<number>): void {
    this.#entries++;
    this.#tell(this.#evidence.add(entryItem(evidenceEntry(entry, indexes))), 'evidence');
  }

  /** The sums of all that was taken in. */
  finish(): SnapshotSums {
    this.#tell(this.#records.end(), 'records');
    this.#tell(this.#evidence.end(), 'evidence');
    return {
      ...this.#sums.finish(),
      bytes: this.#records.bytes + this.#evidence.bytes,
      chunks: this.#records.root(),
      evidence: { count: this.#entries, root: this.#evidence.root() },
    };
  }

  #tell(chunk: Chunk | undefined, list: SnapshotList): void {
    if (chunk !== undefined) this.#onChunk(chunk, list);
  }
}

/** An entry as it stays as evidence: with its ops at these indexes, and the hashes of the others. */
export function evidenceEntry(entry: Entry, indexes: ReadonlySet<number>): Entry {
  const body = entry.body.map((item, index): BodyItem =>
    'op' in item && !indexes.has(index) ? { erased: sha256(item.op) } : item,
  );
  return withBody(entry, body);
}
