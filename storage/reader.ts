import { digestElement } from '../protocols/digest/element.ts';
import { errorCode } from '../protocols/errors.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { sha256Hex } from '../protocols/wire/bytes.ts';
import { isOfOneRecord, type OnUnread, paged, type RecordPage, type Unread } from '../protocols/unread.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { indexStart, indexValue, placeInChannel } from './indexes.ts';
import { fullKey, innerKey, range } from './keyspace.ts';
import { openRecord, readRecords } from './record-rows.ts';
import { cellsOf, hasCells, indexed, isNarrowedAfter, type ListFilter, matches } from './list-filter.ts';
import type { StoredRecord } from './stored-record.ts';
import { verifiedJson } from './values.ts';
import { listVerdicts, type VerdictFilter, type VerdictPage } from './verdict-list.ts';

/** Records looked at for one page: a filter that matches little gives a short page and a cursor, never a long wait. */
const SCAN_LIMIT = 20_000;
/** Records read at once where a filter will drop some of them. */
const CHUNK = 128;

/**
 * Reads for the API: materialised views and indexes only, no document is ever opened. Lists leave out a record whose row is damaged, and
 * `onUnread` is told; what asks for certain records, or for all, is refused (`value-damaged`) unless it says that it can do without.
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

  /** The same without those whose rows are damaged, which are told of. */
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

  /** Live records of a collection: newest first without a filter, else in index order. */
  async list(collection: string, filter: ListFilter, limit: number, cursor?: string): Promise<RecordPage> {
    const from = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('utf8');
    const records: RecordState[] = [];
    const left: Unread[] = [];
    const page = (cursor?: string): RecordPage => ({
      records,
      ...paged(left, cursor),
    });
    let last: string | undefined;
    let scanned = 0;
    // What an index gives without a further filter is shown as it is: nothing is read beyond the page.
    const chunk = isNarrowedAfter(collection, filter) ? CHUNK : Math.min(limit, CHUNK);
    for await (const keys of this.#candidates(collection, filter, from, chunk)) {
      const states = await this.readable(
        keys.map((key) => key.slice(key.lastIndexOf('\0') + 1).replace(/^r!/, '') as RecordKey),
        (unread) => left.push(unread),
      );
      for (const [i, state] of states.entries()) {
        last = keys[i];
        scanned++;
        if (isLive(state) && this.#matches(state, filter, left)) records.push(state);
        if (records.length >= limit || scanned >= SCAN_LIMIT)
          return page(last && Buffer.from(last).toString('base64url'));
      }
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

  async *#candidates(
    collection: string,
    { fields, owner, near }: ListFilter,
    from: string | undefined,
    chunk: number,
  ): AsyncGenerator<string[]> {
    const [name, value] = indexed(collection, fields) ?? [];
    if (near !== undefined && hasCells(near)) {
      for (const cell of cellsOf(near))
        yield* this.#keys(fullKey('index', `${collection}.geohash\0${cell}`), from, false);
    } else if (name !== undefined && value !== undefined)
      yield* this.#keys(
        fullKey('index', indexStart(`${collection}.${name}`, indexValue(value))),
        from,
        false,
        chunk,
      );
    else if (owner !== undefined)
      yield* this.#keys(fullKey('records', `${collection}/${owner}/`), from, false, chunk);
    else
      yield* this.#keys(
        fullKey('index', `${collection}.${collection === 'prices' ? 'date' : 'updatedAt'}\0`),
        from,
        true,
        chunk,
      );
  }

  async *#keys(
    start: string,
    from: string | undefined,
    reverse: boolean,
    chunkSize = CHUNK,
  ): AsyncGenerator<string[]> {
    const end = `${start}\u{10ffff}`;
    const bounds = reverse
      ? { gte: start, lt: from !== undefined && from < end ? from : end, reverse }
      : { ...(from !== undefined && from >= start ? { gt: from } : { gte: start }), lt: end };
    if (!reverse && from !== undefined && from >= end) return;
    const keys = this.#db.level.keys(bounds);
    try {
      for (;;) {
        const chunk = await keys.nextv(chunkSize);
        if (chunk.length === 0) return;
        yield chunk;
      }
    } finally {
      await keys.close();
    }
  }

  /** Every live record of a collection, in key order, with bounded memory; with `onUnread` without those whose rows are damaged. */
  async *all(collection: string, onUnread?: OnUnread): AsyncGenerator<RecordState> {
    const telling = onUnread && this.#telling(onUnread);
    const rows = this.#db.level.iterator({
      ...range('records', `${collection}/`),
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
          const state = openRecord(innerKey(key) as RecordKey, value, telling);
          if (isLive(state)) yield state;
        }
      }
    } finally {
      await rows.close();
    }
  }

  /** Live records of a collection in a private channel, newest first by creation as lists have it (`listedTimes`); `before` goes on after that place. */
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
    // Fewer than asked for means that there are no more, so the place of one that is left out is filled.
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
   * Live facts of a private channel, oldest first, at most so many of each owner: who writes more crowds out nothing but its own.
   */
  async factsOf(collection: string, channel: Channel, perOwner: number): Promise<RecordState[]> {
    const found: RecordState[] = [];
    const counts = new Map<string, number>();
    const start = fullKey('index', indexStart(`${collection}.channel`, channel));
    for await (const keys of this.#keys(start, undefined, false)) {
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
   * Keys of live records with this value in an index, in order of their owners, at most so many of each: who writes more crowds
   * out nothing but its own. Values are matched as an index holds them, cut and in lower case.
   */
  async keysOf(index: string, value: string, perOwner: number): Promise<RecordKey[]> {
    const found: RecordKey[] = [];
    const counts = new Map<string, number>();
    const start = fullKey('index', indexStart(index, indexValue(value)));
    for await (const keys of this.#keys(start, undefined, false)) {
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
   * What each public record of an owner and collection adds to the digest, as SHA-256 of it, hex. A record whose value is damaged is
   * among them with a hash that no other node has.
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
        const { state } = verifiedJson<StoredRecord>(full, value);
        const element = state.channel === 'public' ? digestElement(state) : undefined;
        if (element !== undefined) yield { id, hash: sha256Hex(element) };
      } catch (error) {
        if (errorCode(error) !== 'value-damaged') throw error;
        yield { id, hash: sha256Hex('value-damaged') };
      }
    }
  }

  /** Records with a field in conflict, as `shown` has them: one that has none left there is passed over and takes nobody's place. */
  async conflicts(
    limit: number,
    shown: (state: RecordState) => Promise<RecordState | undefined> = async (state) => state,
  ): Promise<RecordState[]> {
    const found: RecordState[] = [];
    for (const collection of ['listings', 'contracts', 'nodes', 'conversations']) {
      const start = fullKey('index', indexStart(`${collection}.conflicts`, ''));
      for await (const keys of this.#keys(start, undefined, false)) {
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
