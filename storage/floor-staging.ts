import { type ChunkItem, ChunkWriter } from '../protocols/checkpoint/chunk.ts';
import { coverItem } from '../protocols/checkpoint/items.ts';
import type { FrontierItem } from '../protocols/feed/frontier.ts';
import type { Checkpoint } from '../protocols/feed/checkpoint.ts';
import { hex } from '../protocols/wire/bytes.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { floorRow } from './floor-rows.ts';
import { chunkKey, erasedKey, evidenceKey, floorKey, type FloorTable, type Slot } from './floor-table.ts';
import type { BatchOp } from './keyspace.ts';
import { putJson } from './values.ts';

/** Where a chunk begins: with which item of which record; '' while it begins with covers. */
export interface ChunkRow {
  readonly hash: string;
  readonly record: RecordKey | '';
  readonly item: number;
}

/** Bytes of rows written together. */
const BATCH_BYTES = 1024 * 1024;

/**
 * Stores the floors of a checkpoint beside those in effect, record by record in their order, and where its chunks begin. Nothing of it
 * has an effect until it has ended and its ledger is told; what was begun and not ended is removed by who begins next.
 */
export class FloorStaging {
  readonly #db: Pick<Database, 'batch'>;
  readonly #table: FloorTable;
  readonly #checkpoint: Pick<Checkpoint, 'author' | 'id' | 'chunks'>;
  readonly #slot: Slot;
  readonly #chunks: ChunkWriter;
  #begins: Omit<ChunkRow, 'hash'> = { record: '', item: 0 };
  /** Behind all items so far. */
  #behind: Omit<ChunkRow, 'hash'> = { record: '', item: 0 };
  #count = 0;
  #ops: BatchOp[] = [];
  #bytes = 0;

  private constructor(
    db: Pick<Database, 'batch'>,
    table: FloorTable,
    checkpoint: Pick<Checkpoint, 'author' | 'id' | 'chunks'>,
    slot: Slot,
    counts: readonly number[] | undefined,
  ) {
    this.#chunks = new ChunkWriter(counts);
    this.#db = db;
    this.#table = table;
    this.#checkpoint = checkpoint;
    this.#slot = slot;
  }

  /** `covers`: all of them, ascending. `counts`: see `ChunkWriter`. Nothing else may be taking effect of its author. */
  static async begin(
    db: Pick<Database, 'batch'>,
    table: FloorTable,
    checkpoint: Pick<Checkpoint, 'author' | 'id' | 'chunks'>,
    covers: readonly FrontierItem[],
    arrived?: number,
    counts?: readonly number[],
  ): Promise<FloorStaging> {
    const { author, id } = checkpoint;
    const { now, next } = table.mark(author);
    if (next?.stage === 'applying') throw new TypeError(`another checkpoint of ${author} is taking effect`);
    const slot: Slot = now?.slot === 'a' ? 'b' : 'a';
    await table.setMark(author, now === undefined ? {} : { now });
    await table.clean(author);
    const floors = { id, slot, covers, ...(arrived === undefined ? {} : { arrived }) };
    await table.setMark(author, { ...(now && { now }), next: { ...floors, stage: 'staging' } });
    const staging = new FloorStaging(db, table, checkpoint, slot, counts);
    for (const [item, cover] of covers.entries()) staging.#add(coverItem(cover), { record: '', item });
    staging.#behind = { record: '', item: covers.length };
    return staging;
  }

  /** The next record, with its items as they stand in the chunks. */
  async add(key: RecordKey, items: readonly ChunkItem[]): Promise<void> {
    for (const [item, each] of items.entries()) this.#add(each, { record: key, item });
    this.#behind = { record: key, item: items.length };
    const full = floorKey(key, this.#slot);
    await this.#put({ type: 'put', key: full, value: floorRow(full, items) });
  }

  /** Items of erased records, whose keys nobody knows any more: all those behind the record that was added last. */
  async addErased(items: readonly ChunkItem[]): Promise<void> {
    const { record, item: first } = this.#behind;
    for (const [i, each] of items.entries()) this.#add(each, { record, item: first + i });
    const full = erasedKey(this.#checkpoint.author, this.#slot, record);
    await this.#put(
      putJson(
        full,
        items.map(({ hash }) => hex(hash)),
      ),
    );
  }

  /** The next entry that stays, with the indexes of those of its ops that do. */
  async keep(epoch: string, seq: number, indexes: Iterable<number>): Promise<void> {
    const full = evidenceKey(this.#checkpoint.author, this.#slot, epoch, seq);
    await this.#put(putJson(full, [...indexes]));
  }

  /** Whether this is what the checkpoint says of its records; then they can take effect. */
  async end(): Promise<boolean> {
    const { author, chunks } = this.#checkpoint;
    const last = this.#chunks.end();
    if (last !== undefined) this.#noteChunk(last.hash, { record: '', item: 0 });
    await this.#flush();
    const { now, next } = this.#table.mark(author);
    const isTrue = this.#chunks.root() === chunks && next !== undefined;
    const mark = { ...(now && { now }) };
    await this.#table.setMark(author, isTrue ? { ...mark, next: { ...next, stage: 'whole' } } : mark);
    if (!isTrue) await this.#table.clean(author);
    return isTrue;
  }

  /** Gives it up. */
  async drop(): Promise<void> {
    const { author } = this.#checkpoint;
    const { now } = this.#table.mark(author);
    await this.#table.setMark(author, now === undefined ? {} : { now });
    await this.#table.clean(author);
  }

  #add(item: ChunkItem, at: Omit<ChunkRow, 'hash'>): void {
    const ended = this.#chunks.add(item);
    if (ended !== undefined) this.#noteChunk(ended.hash, at);
  }

  /** A chunk has ended, and the next one begins there. */
  #noteChunk(hash: string, next: Omit<ChunkRow, 'hash'>): void {
    const row: ChunkRow = { hash, ...this.#begins };
    this.#ops.push(putJson(chunkKey(this.#checkpoint.author, this.#slot, this.#count++), row));
    this.#begins = next;
  }

  async #put(op: BatchOp): Promise<void> {
    this.#ops.push(op);
    if (op.type === 'put') this.#bytes += op.key.length + op.value.length;
    if (this.#bytes >= BATCH_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const ops = this.#ops;
    [this.#ops, this.#bytes] = [[], 0];
    if (ops.length > 0) await this.#db.batch(ops, false);
  }
}
