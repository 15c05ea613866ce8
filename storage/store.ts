import { decodeEntry, type Entry } from '../protocols/feed/entry.ts';
import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, openForkProof } from '../protocols/feed/fork.ts';
import type { Commit, LedgerStore } from '../protocols/ledger/ports.ts';
import { placedOps } from '../protocols/ledger/placed-ops.ts';
import type { OpRef, PlacedOp, RecordState, Verdict } from '../protocols/open-dialog/record.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { Digests } from './digests.ts';
import { indexKeys } from './indexes.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { StoredRecord } from './stored-record.ts';
import { openJson, openValue, sealJson, sealValue } from './values.ts';

/** Stands from the commit that erased ops of a record until nothing on disk repeats them. */
export const ERASING = 'erasing ';

const EMPTY = new Uint8Array(0);
const erasureKey = (feed: { author: PeerId; channel: Channel; epoch: string }, seq: number): string =>
  `${feed.author}|${feed.channel}|${feed.epoch}|${numberKey(seq)}|`;
const refKey = (no: number, ref: OpRef): string =>
  `${numberKey(no)}${numberKey(ref.seq)}${numberKey(ref.index, 4)}`;

/** The row that leads from a record to one of its ops. */
export function recordOpKey(key: RecordKey, feedNo: number, ref: OpRef): string {
  return fullKey('recordOps', `${key}\0${refKey(feedNo, ref)}`);
}

/** An op that is void or waits, as the operator sees it. */
export interface ListedVerdict {
  readonly ref: Omit<OpRef, 'bytes'>;
  readonly key: RecordKey | undefined;
  readonly verdict: Verdict;
}

/** Entries, records, indexes and digests in one LevelDB; `commit` writes all that belongs together in one batch. */
export class Store implements LedgerStore {
  readonly #db: Database;
  readonly #feeds = new Map<string, FeedState>();
  readonly #byNo = new Map<number, FeedState>();
  readonly #byChannel = new Map<string, Map<string, FeedState>>();
  /** Feeds that something was erased of: for all others no erasure is looked for. */
  readonly #erasedFeeds = new Set<string>();
  readonly digests: Digests;
  #lastFeedNo = 0;
  #lastChange = 0;
  /** The change number of states read or written here, so that a commit need not read them again. */
  readonly #changeOf = new WeakMap<RecordState, number>();

  private constructor(db: Database, digests: Digests) {
    this.#db = db;
    this.digests = digests;
  }

  static async open(db: Database): Promise<Store> {
    const store = new Store(db, new Digests());
    await store.reload();
    return store;
  }

  /** Reads the feeds and counters again, after a re-opening or a rebuild. */
  async reload(): Promise<void> {
    const feeds: FeedState[] = [];
    for await (const [key, value] of this.#db.level.iterator(range('feeds')))
      feeds.push(openJson<FeedState>(key, value));
    for await (const key of this.#db.level.keys({ ...range('changes'), reverse: true, limit: 1 })) {
      this.#lastChange = Number.parseInt(innerKey(key), 16);
    }
    const erasedFeeds: string[] = [];
    for await (const key of this.#db.level.keys(range('erasures')))
      erasedFeeds.push(innerKey(key).split('|').slice(0, 3).join('|'));
    const show = await this.digests.read(this.#db);
    // At one stroke: nobody is shown half of the feeds, or digests that are not theirs.
    this.#feeds.clear();
    this.#byNo.clear();
    this.#byChannel.clear();
    for (const feed of feeds) this.#keep(feed);
    for (const id of erasedFeeds) this.#erasedFeeds.add(id);
    show();
  }

  #keep(feed: FeedState): void {
    this.#feeds.set(feedId(feed), feed);
    this.#byNo.set(feed.no, feed);
    const id = `${feed.author}|${feed.channel}`;
    const group = this.#byChannel.get(id) ?? new Map<string, FeedState>();
    group.set(feed.epoch, feed);
    this.#byChannel.set(id, group);
    this.#lastFeedNo = Math.max(this.#lastFeedNo, feed.no);
  }

  feeds(author: PeerId, channel: Channel): readonly FeedState[] {
    return [...(this.#byChannel.get(`${author}|${channel}`)?.values() ?? [])];
  }

  feed(author: PeerId, channel: Channel, epoch: string): FeedState | undefined {
    return this.#feeds.get(feedId({ author, channel, epoch }));
  }

  /** Every feed held, grouped by author and channel. */
  feedGroups(): { author: PeerId; channel: Channel; feeds: FeedState[] }[] {
    return [...this.#byChannel.values()].flatMap((group) => {
      const feeds = [...group.values()];
      const first = feeds[0];
      return first === undefined ? [] : [{ author: first.author, channel: first.channel, feeds }];
    });
  }

  nextFeedNo(): number {
    return ++this.#lastFeedNo;
  }

  async entry(feedNo: number, seq: number): Promise<Entry | undefined> {
    const bytes = await this.entryBytes(feedNo, seq);
    return bytes && decodeEntry(bytes);
  }

  async entryBytes(feedNo: number, seq: number): Promise<Uint8Array | undefined> {
    const key = fullKey('entries', numberKey(feedNo) + numberKey(seq));
    const value = await this.#db.level.get(key);
    return value && openValue(key, value);
  }

  /** The entries of one feed from a sequence on, in order, as signed. */
  async *entriesFrom(feedNo: number, from: number, to: number): AsyncGenerator<Uint8Array> {
    const bounds = {
      gte: fullKey('entries', numberKey(feedNo) + numberKey(from)),
      lte: fullKey('entries', numberKey(feedNo) + numberKey(to)),
      highWaterMarkBytes: 256 * 1024,
    };
    for await (const [key, value] of this.#db.level.iterator(bounds)) yield openValue(key, value);
  }

  async records(keys: readonly RecordKey[]): Promise<(RecordState | undefined)[]> {
    const full = keys.map((key) => fullKey('records', key));
    const values = await this.#db.level.getMany(full);
    return values.map((value, i) => {
      if (value === undefined) return undefined;
      const { state, change } = openJson<StoredRecord>(full[i] ?? '', value);
      this.#changeOf.set(state, change);
      return state;
    });
  }

  async recordOps(key: RecordKey): Promise<PlacedOp[]> {
    const ops: PlacedOp[] = [];
    let entry: { no: number; seq: number; ops: PlacedOp[] } | undefined;
    const start = fullKey('recordOps', `${key}\0`);
    for await (const full of this.#db.level.keys({ gte: start, lt: `${start}g` })) {
      const ref = full.slice(start.length);
      const no = Number.parseInt(ref.slice(0, 8), 16);
      const seq = Number.parseInt(ref.slice(8, 16), 16);
      const index = Number.parseInt(ref.slice(16), 16);
      if (entry?.no !== no || entry.seq !== seq) {
        const found = await this.entry(no, seq);
        if (found === undefined)
          throw new AgrinetError('value-damaged', 'an entry is missing; run: agrinet fsck', {
            details: { key },
          });
        entry = { no, seq, ops: placedOps(found) };
      }
      const op = entry.ops.find((placed) => placed.index === index);
      if (op !== undefined) ops.push(op);
    }
    return ops;
  }

  async lacking(lacks: string): Promise<RecordKey[]> {
    const start = fullKey('lacking', `${lacks}\0`);
    const keys: RecordKey[] = [];
    for await (const full of this.#db.level.keys({ gte: start, lt: `${start}\u{10ffff}` }))
      keys.push(full.slice(start.length) as RecordKey);
    return keys;
  }

  async proof(feedNo: number): Promise<ForkProof | undefined> {
    const key = fullKey('forks', numberKey(feedNo));
    const value = await this.#db.level.get(key);
    return value && openForkProof(openValue(key, value));
  }

  async erasures(
    feed: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
    from: number,
    to: number,
  ): Promise<{ readonly seq: number; readonly bytes: Uint8Array }[]> {
    if (!this.#erasedFeeds.has(feedId(feed))) return [];
    const found: { seq: number; bytes: Uint8Array }[] = [];
    const gte = fullKey('erasures', erasureKey(feed, from));
    const lt = fullKey('erasures', erasureKey(feed, to + 1));
    for await (const [key, value] of this.#db.level.iterator({ gte, lt }))
      found.push({ seq: Number.parseInt(key.split('|').at(-2) ?? '', 16), bytes: openValue(key, value) });
    return found;
  }

  async commit(commit: Commit): Promise<void> {
    const ops: BatchOp[] = [];
    const put = (key: string, value: Uint8Array): number => ops.push({ type: 'put', key, value });
    const del = (key: string): number => ops.push({ type: 'del', key });
    const numbers = new Map(commit.feeds.map((feed) => [feedId(feed), feed.no]));
    const numberOf = (ref: OpRef): number =>
      numbers.get(feedId(ref)) ?? this.feed(ref.author, ref.channel, ref.epoch)?.no ?? 0;
    for (const { feed, entry } of commit.entries) {
      const key = fullKey('entries', numberKey(feed.no) + numberKey(entry.header.seq));
      put(key, sealValue(key, entry.bytes));
    }
    for (const feed of commit.feeds) {
      const key = fullKey('feeds', numberKey(feed.no));
      put(key, sealJson(key, feed));
    }
    for (const { feed, proof } of commit.proofs) {
      const key = fullKey('forks', numberKey(feed.no));
      put(key, sealValue(key, proof.bytes));
    }
    for (const { ref, key, verdict, fresh } of commit.verdicts) {
      const at = refKey(numberOf(ref), ref);
      if (fresh && key !== undefined) put(recordOpKey(key, numberOf(ref), ref), EMPTY);
      const verdictKey = fullKey('verdicts', at);
      if (verdict.state !== 'counts') {
        const { author, channel, epoch, seq, index } = ref;
        put(
          verdictKey,
          sealJson(verdictKey, {
            ref: { author, channel, epoch, seq, index },
            key,
            verdict,
          } satisfies ListedVerdict),
        );
      } else if (!fresh) del(verdictKey);
    }
    for (const erasure of commit.erasures) {
      const key = fullKey('erasures', erasureKey(erasure, erasure.seq) + erasure.id);
      put(key, sealValue(key, erasure.bytes));
    }
    for (const { ref, key } of commit.erased) {
      del(recordOpKey(key, numberOf(ref), ref));
      del(fullKey('verdicts', refKey(numberOf(ref), ref)));
      const todo = fullKey('meta', ERASING + key);
      put(todo, sealJson(todo, key));
    }
    for (const { lacks, key } of commit.lacking) put(fullKey('lacking', `${lacks}\0${key}`), EMPTY);
    let change = this.#lastChange;
    const sums = this.digests.begin();
    for (const { key, before, after } of commit.records) {
      const previous = before && this.#changeOf.get(before);
      if (previous !== undefined) del(fullKey('changes', numberKey(previous, 12)));
      change++;
      put(fullKey('changes', numberKey(change, 12)), Buffer.from(key));
      this.#changeOf.set(after, change);
      const full = fullKey('records', key);
      put(full, sealJson(full, { state: after, change } satisfies StoredRecord));
      const oldKeys = indexKeys(before);
      const newKeys = indexKeys(after);
      for (const index of oldKeys) if (!newKeys.includes(index)) del(fullKey('index', index));
      for (const index of newKeys) if (!oldKeys.includes(index)) put(fullKey('index', index), EMPTY);
      sums.change(before, after);
    }
    sums.write(ops);
    await this.#db.batch(ops, commit.sync);
    this.#lastChange = change;
    sums.commit();
    for (const feed of commit.feeds) this.#keep(feed);
    for (const erasure of commit.erasures) this.#erasedFeeds.add(feedId(erasure));
  }
}
