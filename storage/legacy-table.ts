import { importVerdict, type LegacyRow } from '../protocols/market/legacy.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { putJson, verifiedJson } from './values.ts';

/** Which of a source's parts is the one that is read. */
interface Head {
  readonly part: number;
  /** Items in it, by collection. */
  readonly counts: Readonly<Record<string, number>>;
}

/** One import of a source. Rows are compared with what the part holds; a fresh part is seen only after `finish`. */
export interface LegacyWriter {
  write(rows: readonly LegacyRow[]): Promise<('imported' | 'unchanged' | 'older')[]>;
  /** On disk, and what the fresh part replaces is gone. */
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

/**
 * Items of old nodes by source, part, collection and id: in no feed and in no digest. A rebuild of a source's part writes a new
 * part, and one small batch at the end makes it the current one.
 */
export class LegacyTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async sources(): Promise<string[]> {
    const found: string[] = [];
    let after = '';
    for (;;) {
      const bounds = range('legacy');
      const next = after === '' ? bounds : { gt: after, lt: bounds.lt };
      const [key] = await this.#db.level.keys({ ...next, limit: 1 }).all();
      if (key === undefined) return found;
      const source = innerKey(key).split('\0')[0] ?? '';
      if (!innerKey(key).includes('\0')) found.push(source);
      after = `${fullKey('legacy', source)}\0\u{10ffff}`;
    }
  }

  async #head(source: string): Promise<Head> {
    const key = fullKey('legacy', source);
    const value = await this.#db.level.get(key);
    if (value === undefined) return { part: 0, counts: {} };
    try {
      return verifiedJson<Head>(key, value);
    } catch {
      return this.#headFromRows(source); // all that it says stands in the keys as well
    }
  }

  /** The lowest part is the one that counts: a fresh one has a higher number. */
  async #headFromRows(source: string): Promise<Head> {
    let part: number | undefined;
    const counts: Record<string, number> = {};
    for await (const key of this.#db.level.keys(range('legacy', `${source}\0`))) {
      const [, of = '', collection = ''] = innerKey(key).split('\0');
      part ??= Number.parseInt(of, 16);
      if (of !== numberKey(part)) break;
      counts[collection] = (counts[collection] ?? 0) + 1;
    }
    return { part: part ?? 0, counts };
  }

  /** Items held of a source, by collection. */
  async counts(source: string): Promise<Readonly<Record<string, number>>> {
    return (await this.#head(source)).counts;
  }

  /** Removes everything of a source; if it is interrupted, it has to be called again. */
  async remove(source: string): Promise<void> {
    await this.#db.level.clear(range('legacy', `${source}\0`));
    await this.#db.batch([{ type: 'del', key: fullKey('legacy', source) }], true);
  }

  /** `fresh` begins with nothing. One import of a source at a time: the caller sees to it. */
  async begin(source: string, fresh: boolean): Promise<LegacyWriter> {
    const { part: current, counts: held } = await this.#head(source);
    const counts: Record<string, number> = fresh ? {} : { ...held };
    const headKey = fullKey('legacy', source);
    const part = fresh ? current + 1 : current;
    await this.#clearOthers(source, current);
    const db = this.#db;
    return {
      async write(rows) {
        const keys = rows.map((row) => rowKey(source, part, row.collection, row.id));
        const found = await db.level.getMany(keys);
        const known = new Map<string, Pick<LegacyRow, 'updatedAt' | 'hash'>>();
        for (const [i, value] of found.entries()) {
          const key = keys[i] ?? '';
          if (value !== undefined) known.set(key, verifiedJson<LegacyRow>(key, value));
        }
        const ops: BatchOp[] = [];
        const verdicts = rows.map((row, i) => {
          const key = keys[i] ?? '';
          const verdict = importVerdict(known.get(key), row);
          if (verdict === 'imported') {
            if (!known.has(key)) counts[row.collection] = (counts[row.collection] ?? 0) + 1;
            known.set(key, row);
            ops.push(putJson(key, row));
          }
          return verdict;
        });
        if (ops.length > 0 && !fresh) ops.push(putJson(headKey, { part, counts } satisfies Head));
        if (ops.length > 0) await db.batch(ops, false);
        return verdicts;
      },
      finish: async () => {
        const head: Head = { part, counts };
        await db.batch([putJson(headKey, head)], true);
        await this.#clearOthers(source, part);
      },
      abandon: async () => {
        if (fresh) await this.#clearOthers(source, current);
      },
    };
  }

  /** Including the remains of an interrupted import. */
  async #clearOthers(source: string, part: number): Promise<void> {
    const start = fullKey('legacy', `${source}\0`);
    const mine = `${start}${numberKey(part)}\0`;
    await this.#db.level.clear({ gte: start, lt: mine });
    await this.#db.level.clear({ gt: `${mine}\u{10ffff}`, lt: `${start}\u{10ffff}` });
  }

  /** One page in the order of ids, as JSON-safe rows; a damaged row is left out. */
  async list(
    collection: string,
    source: string,
    limit: number,
    cursor?: string,
  ): Promise<{ items: (LegacyRow & { source: string })[]; cursor?: string }> {
    const start = rowKey(source, (await this.#head(source)).part, collection, '');
    const from = cursor === undefined ? undefined : start + Buffer.from(cursor, 'base64url').toString();
    const bounds = from !== undefined && from > start ? { gt: from } : { gte: start };
    const items: (LegacyRow & { source: string })[] = [];
    let last: string | undefined;
    let seen = 0;
    for await (const [key, value] of this.#db.level.iterator({
      ...bounds,
      lt: `${start}\u{10ffff}`,
      limit: limit + 1,
    })) {
      if (++seen > limit) break;
      last = key.slice(start.length);
      try {
        items.push({ ...verifiedJson<LegacyRow>(key, value), source });
      } catch {
        continue; // the next pull with force brings it again
      }
    }
    return seen > limit && last !== undefined
      ? { items, cursor: Buffer.from(last).toString('base64url') }
      : { items };
  }
}

function rowKey(source: string, part: number, collection: string, id: string): string {
  return fullKey('legacy', `${source}\0${numberKey(part)}\0${collection}\0${id}`);
}
