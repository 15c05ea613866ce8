import type { SnapshotList } from '../protocols/checkpoint/snapshot-list.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { verifyChecksum, withChecksum } from './values.ts';

/** A list of the snapshot of one checkpoint. */
export interface FetchedName {
  readonly author: PeerId;
  /** The id of the checkpoint, hex. */
  readonly checkpoint: string;
  readonly list: SnapshotList;
}

/** Rows that one batch deletes: chunks are large, and their keys are not. */
const DROPPED_AT_ONCE = 1000;

const startOf = ({ author, checkpoint, list }: FetchedName): string => `${author}|${checkpoint}|${list}|`;
/** Behind all numbers. */
const HASHES = 'hashes';

/** Chunks of a snapshot that is being fetched, until all of it is here and is put into effect. Of one checkpoint of each author at a time. */
export class FetchedTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Drops what is here of other checkpoints of the author. */
  async begin({ author, checkpoint }: Omit<FetchedName, 'list'>): Promise<void> {
    await this.#drop(`${author}|`, `${author}|${checkpoint}|`);
  }

  /** The hashes of all chunks of a list, joined; undefined when they are not here, or damaged. */
  hashes(name: FetchedName): Promise<Uint8Array | undefined> {
    return this.#sound(startOf(name) + HASHES);
  }

  async keepHashes(name: FetchedName, hashes: Uint8Array): Promise<void> {
    await this.#put(startOf(name) + HASHES, hashes);
  }

  chunk(name: FetchedName, number: number): Promise<Uint8Array | undefined> {
    return this.#sound(startOf(name) + numberKey(number));
  }

  async keepChunk(name: FetchedName, number: number, bytes: Uint8Array): Promise<void> {
    await this.#put(startOf(name) + numberKey(number), bytes);
  }

  /** The chunks that are here, ascending. */
  async *held(name: FetchedName): AsyncGenerator<{ readonly number: number; readonly bytes: Uint8Array }> {
    const start = startOf(name);
    for await (const [key, value] of this.#db.level.iterator(range('fetched', start))) {
      const number = innerKey(key).slice(start.length);
      const bytes = number === HASHES ? undefined : sound(key, value);
      if (bytes !== undefined) yield { number: Number.parseInt(number, 16), bytes };
    }
  }

  /** Drops a list, its hashes included. */
  async drop(name: FetchedName): Promise<void> {
    await this.#drop(startOf(name), undefined);
  }

  /** Drops all that is here of an author. */
  async dropAll(author: string): Promise<void> {
    await this.#drop(`${author}|`, undefined);
  }

  /** Whose snapshots something is here of. */
  async authors(): Promise<PeerId[]> {
    const found: PeerId[] = [];
    const { gte, lt } = range('fetched');
    for (let from = gte; ;) {
      const [key] = await this.#db.level.keys({ gt: from, lt, limit: 1 }).all();
      if (key === undefined) return found;
      const author = innerKey(key).slice(0, innerKey(key).indexOf('|')) as PeerId; // only this table writes it
      found.push(author);
      from = range('fetched', `${author}|`).lt;
    }
  }

  async #put(key: string, value: Uint8Array): Promise<void> {
    const full = fullKey('fetched', key);
    await this.#db.batch([{ type: 'put', key: full, value: withChecksum(full, value) }], false);
  }

  async #sound(key: string): Promise<Uint8Array | undefined> {
    const full = fullKey('fetched', key);
    const value = await this.#db.level.get(full);
    return value && sound(full, value);
  }

  async #drop(start: string, except: string | undefined): Promise<void> {
    let ops: BatchOp[] = [];
    for await (const key of this.#db.level.keys(range('fetched', start))) {
      if (except !== undefined && innerKey(key).startsWith(except)) continue;
      ops.push({ type: 'del', key });
      if (ops.length < DROPPED_AT_ONCE) continue;
      await this.#db.batch(ops, false);
      ops = [];
    }
    if (ops.length > 0) await this.#db.batch(ops, false);
  }
}

/** A damaged row is as if it had never come: it is asked for again. */
function sound(key: string, value: Uint8Array): Uint8Array | undefined {
  try {
    return verifyChecksum(key, value);
  } catch {
    return undefined;
  }
}
