import { randomBytes } from 'node:crypto';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Reader } from './reader.ts';
import { openJson, sealJson } from './values.ts';

const GENERATION = fullKey('meta', 'generation');
const CHUNK = 128;

/** Begins another generation: for the batch that begins a rebuild, because that numbers all changes anew. */
export function newGeneration(): BatchOp {
  return { type: 'put', key: GENERATION, value: sealJson(GENERATION, randomBytes(8).toString('hex')) };
}

/** This node's own order of changes: each record stands at its newest one. Arrival decides, so nothing comes in behind a cursor. */
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
    if (value !== undefined) return openJson<string>(GENERATION, value);
    await this.#db.batch([newGeneration()], true);
    const made = await this.#db.level.get(GENERATION);
    return made === undefined ? '' : openJson<string>(GENERATION, made);
  }

  /** Records changed after a number, as they stand now, with bounded memory. */
  async *since(change: number): AsyncGenerator<RecordState> {
    const start = fullKey('changes', numberKey(change, 12));
    const rows = this.#db.level.values({ gt: start, lt: range('changes').lt });
    try {
      for (;;) {
        const keys = await rows.nextv(CHUNK);
        if (keys.length === 0) return;
        const states = await this.#reader.many(keys.map((key) => Buffer.from(key).toString() as RecordKey));
        for (const state of states) if (state !== undefined) yield state;
      }
    } finally {
      await rows.close();
    }
  }
}
