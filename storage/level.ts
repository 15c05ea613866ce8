import { type BatchOp, fullKey } from './keyspace.ts';

/** A view of the database as it was when it was taken; what it shows is kept until `close`. */
export interface Snapshot {
  close(): Promise<void>;
}

/** Which rows, in the order of their keys' bytes in UTF-8. */
export interface RowRange {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** Read ahead at once, in bytes. */
  readonly highWaterMarkBytes?: number;
  readonly snapshot?: Snapshot;
}

/** Rows at one moment, that of the call: what is written later is not included. */
export interface Rows<T> extends AsyncIterable<T> {
  /** The next ones, at most so many; none at the end. */
  nextv(size: number): Promise<T[]>;
  all(): Promise<T[]>;
  close(): Promise<void>;
}

/** What is in the rows, at most so many at once; they are closed in the end, also by who stops early. */
export async function* chunks<T>(rows: Rows<T>, size: number): AsyncGenerator<T[]> {
  try {
    for (let some = await rows.nextv(size); some.length > 0; some = await rows.nextv(size)) yield some;
  } finally {
    await rows.close();
  }
}

/** A batch built row by row; nothing of it is in the database before `write`. */
export interface RowBatch {
  put(key: string, value: Uint8Array): unknown;
  del(key: string): unknown;
  write(options?: WriteOptions): Promise<void>;
}

export interface WriteOptions {
  /** Resolve only when the disk has it; then a crash takes neither it nor anything written before it. */
  readonly sync?: boolean;
}

/**
 * The interface of LevelDB used here. The real one is `classic-level` (`open-level.ts`); the simulator has one that loses in a crash
 * what was not synced. Batches are atomic, and in the database in the order in which they were handed over.
 */
export interface Level {
  /** `open` while it can be used. */
  readonly status: string;
  get(key: string, options?: { readonly snapshot?: Snapshot }): Promise<Uint8Array | undefined>;
  getMany(keys: string[]): Promise<(Uint8Array | undefined)[]>;
  put(key: string, value: Uint8Array, options?: WriteOptions): Promise<void>;
  del(key: string, options?: WriteOptions): Promise<void>;
  batch(ops: BatchOp[], options?: WriteOptions): Promise<void>;
  batch(): RowBatch;
  iterator(range?: RowRange): Rows<[string, Uint8Array]>;
  keys(range?: RowRange): Rows<string>;
  values(range?: RowRange): Rows<Uint8Array>;
  snapshot(): Snapshot;
  clear(range: RowRange): Promise<void>;
  /** Removes deleted rows of the range from the disk. */
  compactRange(start: string, end: string): Promise<void>;
  /** Of a range on the disk, in bytes; about. */
  approximateSize(start: string, end: string): Promise<number>;
  /** LevelDB's own properties. */
  getProperty(name: string): string;
  close(): Promise<void>;
}

export interface LevelOptions {
  readonly createIfMissing: boolean;
  readonly mayRepair: boolean;
  /** After a clean stop only those tables are read whose files somebody else has touched: the rest is left to `check`. */
  readonly tablesLater?: boolean;
  /** Milliseconds since 1970, for what a repair notes. */
  readonly now: () => number;
  /** Bytes that LevelDB gathers in memory before it writes a table. */
  readonly writeBufferBytes?: number;
}

/** The last commit's number, outside the database and not synced: shows when a log has lost its end. */
export interface HeadNote {
  /** Undefined when there is none, or it is damaged. */
  read(): number | undefined;
  /** Throws what the disk throws. */
  write(no: number): void;
  close(): void;
}

/** The location of a database, and the files around it. The real one is a folder (`level-folder.ts`). */
export interface LevelHome {
  /** For messages, and for measuring its size on disk. */
  readonly folder: string;
  /** What is there: the marker that a node was initialised, and a database. Throws `restore-unfinished`, `folder-unwritable`. */
  look(): Promise<{ readonly initialized: boolean; readonly present: boolean }>;
  /** Throws `database-locked`, `database-damaged`. */
  open(options: LevelOptions): Promise<{ readonly level: Level; readonly repaired: boolean }>;
  /** Of a closed database; leaves the marks `REBUILDING` and `REJOIN`. Throws `database-damaged`. */
  repair(options: Pick<LevelOptions, 'writeBufferBytes' | 'now'>): Promise<Level>;
  /**
   * Reads the tables of an open database, and notes what the next opening goes by. `mayGoOn` waits after each; false ends it. Names of those
   * that are damaged.
   */
  check(level: Level, mayGoOn: () => Promise<boolean>): Promise<readonly string[]>;
  /** The database was closed, and nothing was wrong with it. */
  closed(): Promise<void>;
  head(): HeadNote;
  /** Creates the marker, when there is none. */
  initialize(now: number): Promise<void>;
}

/** In the database while derived rows are incomplete: from a repair or the start of a rebuild to its end. */
export const REBUILDING = fullKey('meta', 'rebuilding');
