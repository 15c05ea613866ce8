import { digestElement } from '../protocols/digest/element.ts';
import { errorCode } from '../protocols/errors.ts';
import { CpuSlice } from '../protocols/cpu-slice.ts';
import { loopTurn } from '../protocols/ledger/turn.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { sha256Hex } from '../protocols/wire/bytes.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { isOfOneRecord, type OnUnread, paged, type RecordPage, type Unread } from '../protocols/unread.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { candidates } from './candidates.ts';
import type { Database } from './database.ts';
import { indexStart, indexValue, placeInChannel } from './indexes.ts';
import { fullKey, innerKey, range } from './keyspace.ts';
import { decodeRecord, readRecords } from './record-rows.ts';
import { type ListFilter, matches } from './list-filter.ts';
import { readRecordRow } from './stored-record.ts';
import { listVerdicts, type VerdictFilter, type VerdictPage } from './verdict-list.ts';
import { chunks } from './level.ts';

/** CPU that a list may use before it yields to others, milliseconds. */
const SLICE_MS = 5;
/** Keys that a filter has dropped before a page may end early: on a slow machine, too, each page gets on. */
const DROPPED = 256;
/** The same of a first page: many clients ask for no other. */
const DROPPED_FIRST = 20_000;
/** Rows read at once. */
const CHUNK = 128;

/**
 * Reads for the API: materialised views and indexes only, no document is ever opened. Lists leave out a record whose row is damaged,
 * and report it to `onUnread`; reads of certain records, or of all, are refused (`value-damaged`) unless the caller can do without
 * them.
 */
export class Reader {
  readonly #db: Database;
  readonly #onUnread: OnUnread;

  constructor(db: Database, onUnread: OnUnread = () => undefined) {
    this.#db = db;
    this.#onUnread = onUnread;
  }

  /** Another number after every write: between two equal ones every answer was the same. */
  version(): number {
    return this.#db.version;
  }

  async get(key: RecordKey): Promise<RecordState | undefined> {
    return (await this.many([key]))[0];
  }

  async many(keys: readonly RecordKey[]): Promise<(RecordState | undefined)[]> {
    return readRecords(this.#db, keys);
  }

  /** The same without those whose rows are damaged, which are reported. */
  async readable(
    keys: readonly RecordKey[],
    onUnread: OnUnread = () => undefined,
  ): Promise<(RecordState | undefined)[]> {
    return readRecords(this.#db, keys, this.#telling(onUnread));
  }

  #telling(onUnread: OnUnread): OnUnread {
    return (unread) => {
      this.#onUnread(unread);
      onUnread(unread);
    };
  }

  /**
   * Live records of a collection: newest first without a filter, else in index order. Long reads yield in between; when the filter
   * drops most records, the page ends early, with a cursor.
   */
  async list(collection: string, filter: ListFilter, limit: number, cursor?: string): Promise<RecordPage> {
    const from = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('utf8');
    const records: RecordState[] = [];
    const left: Unread[] = [];
    const page = (last?: string): RecordPage => ({
      records,
      ...paged(left, last && Buffer.from(last).toString('base64url')),
    });
    const slice = new CpuSlice(this.#db.env, SLICE_MS);
    const dropped = from === undefined ? DROPPED_FIRST : DROPPED;
    let looked = 0;
    for await (const some of candidates(this.#db.level, collection, filter, { from, limit })) {
      const states = await this.readable(some.keys, (unread) => left.push(unread));
      for (const [i, state] of states.entries()) {
        if (isLive(state) && this.#matches(state, filter, left)) records.push(state);
        if (records.length >= limit) return page(some.places[i]);
      }
      looked += some.looked;
      if (!slice.isOver()) continue;
      if (looked - records.length >= dropped) return page(some.last);
      await loopTurn(this.#db.env);
      slice.begin();
    }
    return page();
  }

  /** A filter that fails over a record leaves out that record. */
  #matches(state: RecordState, filter: ListFilter, left: Unread[]): boolean {
    try {
      return matches(state, filter);
    } catch (error) {
      if (!isOfOneRecord(error)) throw error;
      this.#telling((unread) => left.push(unread))({ key: state.key, error });
      return false;
    }
  }

  #keys(start: string): AsyncGenerator<string[]> {
    return chunks(this.#db.level.keys({ gte: start, lt: `${start}\u{10ffff}` }), CHUNK);
  }

  /**
   * Every live record of a collection, or of an owner in it, in key order, with bounded memory; with `onUnread` without those whose rows are
   * damaged.
   */
  async *all(collection: string, onUnread?: OnUnread, owner?: PeerId): AsyncGenerator<RecordState> {
    const telling = onUnread && this.#telling(onUnread);
    const rows = this.#db.level.iterator({
      ...range('records', owner === undefined ? `${collection}/` : `${collection}/${owner}/`),
      highWaterMarkBytes: 128 * 1024,
    });
    try {
      // The next rows are read while these are being used.
      let next = rows.nextv(CHUNK);
      for (;;) {
        const chunk = await next;
        if (chunk.length === 0) return;
        next = rows.nextv(CHUNK);
        next.catch(() => undefined); // told when they are asked for
        for (const [key, value] of chunk) {
          const state = decodeRecord(innerKey(key) as RecordKey, value, telling);
          if (isLive(state)) yield state;
        }
      }
    } finally {
      await rows.close();
    }
  }

  /**
   * Live records of a collection in a private channel, newest first by creation as lists have it (`listedTimes`); `before` continues
   * after that position.
   */
  async newestInChannel(
    collection: string,
    channel: Channel,
    limit: number,
    before?: Pick<RecordState, 'key' | 'created'>,
  ): Promise<RecordState[]> {
    const start = fullKey('index', `${collection}.channel\0${channel}\0`);
    let lt =
      before === undefined ? `${start}\u{10ffff}` : start + placeInChannel(before.created) + before.key;
    const states: RecordState[] = [];
    // Fewer than requested means that there are no more, so left-out ones are replaced.
    for (let left = limit; left > 0; left = limit - states.length) {
      const keys = await this.#db.level.keys({ gte: start, lt, reverse: true, limit: left }).all();
      const some = await this.readable(keys.map((key) => key.slice(key.lastIndexOf('\0') + 1) as RecordKey));
      states.push(...some.filter(isLive));
      const last = keys.at(-1);
      if (keys.length < left || last === undefined) break;
      lt = last;
    }
    return states;
  }

  /**
   * Live facts of a private channel, at most this many of each owner: an owner that writes more crowds out only its own. The oldest
   * first by their signed times, equal ones by key, of the collections of `SIGNED_ORDER`.
   */
  async factsOf(collection: string, channel: Channel, perOwner: number): Promise<RecordState[]> {
    const found: RecordState[] = [];
    const counts = new Map<string, number>();
    const start = fullKey('index', indexStart(`${collection}.channel`, channel));
    for await (const keys of this.#keys(start)) {
      const wanted = keys
        .map((key) => key.slice(key.lastIndexOf('\0') + 1) as RecordKey)
        .filter((key) => {
          const owner = key.split('/')[1] ?? '';
          const count = (counts.get(owner) ?? 0) + 1;
          counts.set(owner, count);
          return count <= perOwner;
        });
      found.push(...(await this.many(wanted)).filter(isLive));
    }
    return found;
  }

  /**
   * Keys of live records with this value in an index, in order of their owners, at most this many of each: an owner that writes more
   * crowds out only its own. Values are matched as indexed, truncated and in lower case.
   */
  async keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]> {
    const found: RecordKey[] = [];
    const counts = new Map<string, number>();
    const start = fullKey('index', indexStart(index, indexValue(value)));
    for await (const keys of this.#keys(start)) {
      for (const key of keys) {
        const record = key.slice(start.length) as RecordKey;
        const owner = record.split('/')[1] ?? '';
        const count = (counts.get(owner) ?? 0) + 1;
        counts.set(owner, count);
        if (count <= perOwner) found.push(record);
      }
    }
    return found;
  }

  /**
   * What each public record of an owner and collection adds to the digest, as its SHA-256, hex. A record whose value is damaged is
   * included with a hash that no other node has.
   */
  async *elements(
    collection: string,
    owner: string,
  ): AsyncGenerator<{ readonly id: string; readonly hash: string }> {
    const start = `${collection}/${owner}/`;
    const rows = this.#db.level.iterator({ ...range('records', start), highWaterMarkBytes: 128 * 1024 });
    for await (const [full, value] of rows) {
      const id = innerKey(full).slice(start.length);
      try {
        const { state } = readRecordRow(full, value);
        const element = state.channel === 'public' ? digestElement(state) : undefined;
        if (element !== undefined) yield { id, hash: sha256Hex(element) };
      } catch (error) {
        if (errorCode(error) !== 'value-damaged') throw error;
        yield { id, hash: sha256Hex('value-damaged') };
      }
    }
  }

  /** Records with a field in conflict, as `shown` has them: one that has none left there is skipped and does not count. */
  async conflicts(
    limit: number,
    shown: (state: RecordState) => Promise<RecordState | undefined> = async (state) => state,
  ): Promise<RecordState[]> {
    const found: RecordState[] = [];
    for (const collection of ['listings', 'contracts', 'nodes', 'conversations']) {
      const start = fullKey('index', indexStart(`${collection}.conflicts`, ''));
      for await (const keys of this.#keys(start)) {
        const states = await this.readable(keys.map((key) => key.slice(start.length) as RecordKey));
        for (const state of states) {
          const seen = isLive(state) && found.length < limit ? await shown(state) : undefined;
          if (seen !== undefined && Object.keys(seen.conflicts).length > 0) found.push(seen);
        }
        if (found.length >= limit) return found;
      }
    }
    return found;
  }

  /** Pending and rejected ops: see `listVerdicts`. */
  verdicts(limit: number, filter: VerdictFilter = {}, cursor = ''): Promise<VerdictPage> {
    return listVerdicts(this.#db, limit, filter, cursor);
  }
}
