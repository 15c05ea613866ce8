import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { OnUnread } from '../protocols/unread.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Reader } from './reader.ts';
import { putJson, verifiedJson } from './values.ts';
import { chunks } from './level.ts';

const GENERATION = fullKey('meta', 'generation');
const CHUNK = 128;

/** Begins another generation: for the batch that begins a rebuild, because that renumbers all changes. */
export function newGeneration(env: Pick<Env, 'bytes'>): BatchOp {
  const name = Buffer.from(env.bytes(8)).toString('hex');
  return putJson(GENERATION, name);
}

/**
 * Begins a generation where there is none, or a damaged one: at the start, so that no export has to write. Throws `disk-full`,
 * `storage-failed`.
 */
export async function ensureGeneration(db: Database): Promise<void> {
  const value = await db.level.get(GENERATION);
  try {
    if (value !== undefined) return void verifiedJson<string>(GENERATION, value);
  } catch {
    return db.batch([newGeneration(db.env)], true); // whoever comes with a cursor gets everything
  }
  await db.batch([newGeneration(db.env)], true);
}

/** This node's own order of changes: each record is at its newest one. Arrival decides, so nothing is added behind a cursor. */
export class ChangeOrder {
  readonly #db: Database;
  readonly #reader: Reader;

  constructor(db: Database, reader: Reader) {
    this.#db = db;
    this.#reader = reader;
  }

  /** The newest change there is, and the generation that its number belongs to. */
  async now(): Promise<{ generation: string; change: number }> {
    let change = 0;
    for await (const key of this.#db.level.keys({ ...range('changes'), reverse: true, limit: 1 }))
      change = Number.parseInt(innerKey(key), 16);
    return { generation: await this.#generation(), change };
  }

  async #generation(): Promise<string> {
    const value = await this.#db.level.get(GENERATION);
    if (value === undefined) throw new AgrinetError('internal', 'the change order has no generation');
    return verifiedJson<string>(GENERATION, value);
  }

  /**
   * Records changed after a number, in their current state, with bounded memory; without those whose rows are damaged, which are
   * reported.
   */
  async *since(change: number, onUnread?: OnUnread): AsyncGenerator<RecordState> {
    const start = fullKey('changes', numberKey(change, 12));
    const rows = this.#db.level.values({ gt: start, lt: range('changes').lt });
    for await (const some of chunks(rows, CHUNK)) {
      const keys = some.map((key) => Buffer.from(key).toString() as RecordKey);
      for (const state of await this.#reader.readable(keys, onUnread)) if (state !== undefined) yield state;
    }
  }
}
