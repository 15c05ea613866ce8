import { type Chunk, decodeChunk, type ChunkItem } from '../../protocols/checkpoint/chunk.ts';
import { floorItems } from '../../protocols/checkpoint/items.ts';
import type { ReadItems } from '../../protocols/checkpoint/read-items.ts';
import { SnapshotReader } from '../../protocols/checkpoint/snapshot-reader.ts';
import type { SnapshotList } from '../../protocols/checkpoint/snapshot-list.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import type { FrontierItem } from '../../protocols/feed/frontier.ts';
import { sliced, type Turn } from '../../protocols/ledger/turn.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { FetchedTable } from '../../storage/fetched-table.ts';

/** A record as its items came. */
export interface FetchedRecord {
  /** Undefined, without items, where erased ones stand before the first record. */
  readonly key: RecordKey | undefined;
  readonly items: readonly ChunkItem[];
  /** Items of erased records behind it, whose keys nobody knows. */
  readonly erased: readonly ChunkItem[];
}

export interface FetchedParts {
  readonly table: Pick<FetchedTable, 'chunk'>;
  readonly checkpoint: Checkpoint;
  /** How many chunks each list has. */
  readonly counts: Readonly<Record<SnapshotList, number>>;
  readonly turn: Turn;
  readonly signal: AbortSignal;
}

/** A snapshot of which every chunk is here. It is read as often as needed, from the disk, in the memory of a few chunks. */
export class FetchedSnapshot {
  readonly #parts: FetchedParts;
  readonly #counts: number[] = [];
  #erased = 0;

  constructor(parts: FetchedParts) {
    this.#parts = parts;
  }

  get checkpoint(): Checkpoint {
    return this.#parts.checkpoint;
  }

  /** Items that stand as their hashes; known when it was verified. */
  get erased(): number {
    return this.#erased;
  }

  /** How many items each chunk of records has, where some stand as their hashes: then it does not follow from the items. */
  get counts(): readonly number[] | undefined {
    return this.#erased === 0 ? undefined : this.#counts;
  }

  /** Reads all of it and holds it against what was signed: what is wrong is its author's fault. Throws what `SnapshotReader` throws. */
  async verify(): Promise<void> {
    const reader = new SnapshotReader(this.checkpoint);
    for await (const _ of this.#read(reader)) this.#parts.signal.throwIfAborted();
    for await (const _ of this.#entries(reader)) this.#parts.signal.throwIfAborted();
    reader.finish();
    this.#erased = reader.erased;
  }

  /** The covered epochs, ascending. */
  async *covers(): AsyncGenerator<readonly FrontierItem[]> {
    for await (const { covers, floors, erased } of this.#read(new SnapshotReader(this.checkpoint))) {
      if (covers.length > 0) yield covers;
      if (floors.length > 0 || erased.length > 0) return;
    }
  }

  /** The records, in their order. */
  async *records(): AsyncGenerator<readonly FetchedRecord[]> {
    let open: OpenRecord = { key: undefined, items: [], erased: [] };
    for await (const { floors, erased } of this.#read(new SnapshotReader(this.checkpoint))) {
      const records: FetchedRecord[] = [];
      let at = 0;
      const takeErased = (): void => {
        for (let item = erased[at]; item !== undefined && item.behind === open.key; item = erased[++at])
          open.erased.push({ bytes: undefined, hash: item.hash });
      };
      takeErased();
      for (const floor of floors) {
        if (isSomething(open)) records.push(open);
        open = { key: floor.key, items: [...floorItems(floor)], erased: [] };
        takeErased();
      }
      if (records.length > 0) yield records;
    }
    if (isSomething(open)) yield [open];
  }

  /** The entries that stay as evidence, ascending by epoch and sequence. */
  evidence(): AsyncGenerator<readonly Entry[]> {
    return this.#entries(new SnapshotReader(this.checkpoint));
  }

  async *#read(reader: SnapshotReader): AsyncGenerator<ReadItems> {
    const { turn, counts } = this.#parts;
    for (let number = 0; number < counts.records; number++)
      yield await sliced(reader.records(await this.#chunk('records', number)), turn);
    yield await sliced(reader.recordsEnd(), turn);
  }

  async *#entries(reader: SnapshotReader): AsyncGenerator<readonly Entry[]> {
    const { turn, counts } = this.#parts;
    for (let number = 0; number < counts.evidence; number++)
      yield await sliced(reader.evidence(await this.#chunk('evidence', number)), turn);
  }

  async #chunk(list: SnapshotList, number: number): Promise<Chunk> {
    const { table, checkpoint, turn } = this.#parts;
    const { author, id } = checkpoint;
    const bytes = await table.chunk({ author, checkpoint: id, list }, number);
    if (bytes === undefined)
      throw new AgrinetError(
        'snapshot-unavailable',
        'a chunk that was here is damaged; it is asked for again',
      );
    if (turn.isOver()) await turn.next();
    const chunk = decodeChunk(bytes);
    if (list === 'records') this.#counts[number] = chunk.items.length;
    return chunk;
  }
}

interface OpenRecord extends FetchedRecord {
  readonly erased: ChunkItem[];
}

const isSomething = ({ items, erased }: FetchedRecord): boolean => items.length + erased.length > 0;
