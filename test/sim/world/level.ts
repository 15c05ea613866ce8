import type { BatchOp } from '../../../storage/keyspace.ts';
import type { Level, Snapshot } from '../../../storage/level.ts';
import type { Disk } from './disk.ts';
import type { RangeOptions, Rows } from './rows.ts';
import type { Process } from './time.ts';

interface ReadOptions {
  readonly snapshot?: Snapshot;
}

/** The part of LevelDB's face that the program uses, over a disk of the world. Of a dead process nothing ever answers. */
export class MemoryLevel implements Level {
  readonly #disk: Disk;
  readonly #process: Process;
  readonly #snapshots = new WeakMap<Snapshot, Rows>();
  status: 'open' | 'closed' = 'open';

  constructor(disk: Disk, process: Process) {
    this.#disk = disk;
    this.#process = process;
  }

  async open(): Promise<void> {
    this.status = 'open';
  }

  async close(): Promise<void> {
    this.status = 'closed';
    if (this.#process.alive) this.#disk.closed();
  }

  #rows({ snapshot }: ReadOptions = {}): Rows {
    return (snapshot && this.#snapshots.get(snapshot)) ?? this.#disk.rows;
  }

  #answer<T>(value: T): Promise<T> {
    return this.#process.alive ? Promise.resolve(value) : new Promise(() => undefined);
  }

  get(key: string, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    return this.#answer(copyOf(this.#rows(options).get(key)));
  }

  getMany(keys: readonly string[], options: ReadOptions = {}): Promise<(Uint8Array | undefined)[]> {
    const rows = this.#rows(options);
    return this.#answer(keys.map((key) => copyOf(rows.get(key))));
  }

  put(key: string, value: Uint8Array, { sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    return this.#write([{ type: 'put', key, value }], sync);
  }

  del(key: string, { sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    return this.#write([{ type: 'del', key }], sync);
  }

  batch(): MemoryBatch;
  batch(ops: readonly BatchOp[], options?: { readonly sync?: boolean }): Promise<void>;
  batch(
    ops?: readonly BatchOp[],
    { sync = false }: { readonly sync?: boolean } = {},
  ): MemoryBatch | Promise<void> {
    return ops === undefined
      ? new MemoryBatch((made, synced) => this.#write(made, synced))
      : this.#write(ops, sync);
  }

  #write(ops: readonly BatchOp[], sync: boolean): Promise<void> {
    if (!this.#process.alive) return new Promise(() => undefined);
    const copied = ops.map((op) => (op.type === 'put' ? { ...op, value: op.value.slice() } : { ...op }));
    return this.#disk.write(this.#process, copied, sync);
  }

  async clear(options: RangeOptions = {}): Promise<void> {
    const keys = this.#rows().keys(options);
    await this.#write(
      keys.map((key) => ({ type: 'del', key })),
      false,
    );
  }

  iterator(options: RangeOptions & ReadOptions = {}): MemoryIterator<[string, Uint8Array]> {
    const rows = this.#rows(options);
    const found = rows.keys(options).map((key): [string, Uint8Array | undefined] => [key, rows.get(key)]);
    return this.#over(
      found.map(([key, value]) => () => [key, copyOf(value) ?? NOTHING]),
    );
  }

  keys(options: RangeOptions & ReadOptions = {}): MemoryIterator<string> {
    return this.#over(
      this.#rows(options)
        .keys(options)
        .map((key) => () => key),
    );
  }

  values(options: RangeOptions & ReadOptions = {}): MemoryIterator<Uint8Array> {
    const rows = this.#rows(options);
    const found = rows.keys(options).map((key) => rows.get(key));
    return this.#over(found.map((value) => () => copyOf(value) ?? NOTHING));
  }

  #over<T>(items: readonly (() => T)[]): MemoryIterator<T> {
    return new MemoryIterator(items, (value) => this.#answer(value));
  }

  snapshot(): Snapshot {
    const snapshot = { close: async () => undefined };
    this.#snapshots.set(snapshot, this.#disk.copy());
    return snapshot;
  }

  async compactRange(): Promise<void> {
    return;
  }

  async approximateSize(): Promise<number> {
    return 0;
  }

  getProperty(): string {
    return '0';
  }
}

/** A batch that is put together row by row. */
class MemoryBatch {
  readonly #ops: BatchOp[] = [];
  readonly #commit: (ops: readonly BatchOp[], sync: boolean) => Promise<void>;

  constructor(commit: (ops: readonly BatchOp[], sync: boolean) => Promise<void>) {
    this.#commit = commit;
  }

  put(key: string, value: Uint8Array): this {
    this.#ops.push({ type: 'put', key, value });
    return this;
  }

  del(key: string): this {
    this.#ops.push({ type: 'del', key });
    return this;
  }

  write({ sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    return this.#commit(this.#ops, sync);
  }
}

/** Rows as they stood when it was made. */
class MemoryIterator<T> {
  readonly #items: readonly (() => T)[];
  readonly #answer: <R>(value: R) => Promise<R>;
  #at = 0;

  constructor(items: readonly (() => T)[], answer: <R>(value: R) => Promise<R>) {
    this.#items = items;
    this.#answer = answer;
  }

  next(): Promise<T | undefined> {
    return this.#answer(this.#items[this.#at++]?.());
  }

  nextv(size: number): Promise<T[]> {
    const some = this.#items.slice(this.#at, this.#at + size).map((make) => make());
    this.#at += some.length;
    return this.#answer(some);
  }

  all(): Promise<T[]> {
    return this.nextv(this.#items.length);
  }

  async close(): Promise<void> {
    return;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const make = this.#items[this.#at++];
      if (make === undefined) return;
      yield await this.#answer(make());
    }
  }
}

const NOTHING = new Uint8Array(0);

/** Memory of its own, as LevelDB gives it. */
function copyOf(value: Uint8Array | undefined): Uint8Array | undefined {
  return value?.slice();
}
