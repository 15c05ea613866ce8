import type { Entry } from '../protocols/feed/entry.ts';
import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, readForkProof } from '../protocols/feed/fork.ts';
import type { Gap } from '../protocols/feed/gap.ts';
import type { Commit, LedgerStore } from '../protocols/ledger/ports.ts';
import type { Usage } from '../protocols/feed/quota.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import {
  MERGE,
  type OpRef,
  type PlacedOp,
  type RecordState,
  type Verdict,
} from '../protocols/open-dialog/record.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { newGeneration } from './change-order.ts';
import type { Database } from './database.ts';
import { Digests } from './digests.ts';
import { droppedRows } from './dropped.ts';
import { EntryCache } from './entry-cache.ts';
import { decodeEntryRow, readEntryRow, encodeEntryRow } from './entry-row.ts';
import { closingRows, gapRows, GapTable, sweepingRow } from './gap-table.ts';
import { indexKeys } from './indexes.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { recordOpKey, refKey } from './op-keys.ts';
import { UsageChanges, UsageTable } from './usage.ts';
import { NO_CHANGE, type StoredRecord } from './stored-record.ts';
import { putJson, verifiedJson, verifyChecksum, withChecksum } from './values.ts';

/** Stands from the commit that erased ops of a record until nothing on disk repeats them. */
export const ERASING = 'erasing ';

const EMPTY = new Uint8Array(0);
const erasureKey = (feed: { author: PeerId; channel: Channel; epoch: string }, seq: number): string =>
  `${feed.author}|${feed.channel}|${feed.epoch}|${numberKey(seq)}|`;

/** The row of an op's verdict: its key, and what is to stand there; nothing for an op that counts. */
export function verdictRow(
  ref: PlacedOp,
  feedNo: number,
  key: RecordKey | undefined,
  verdict: Verdict,
): { readonly key: string; readonly listed: ListedVerdict | undefined } {
  const { author, channel, epoch, seq, index } = ref;
  const size = ref.bytes.length;
  return {
    key: fullKey('verdicts', refKey(feedNo, ref)),
    listed:
      verdict.state === 'applied'
        ? undefined
        : { ref: { author, channel, epoch, seq, index }, size, key, verdict },
  };
}

/** An op that is rejected or pending, as the operator sees it. */
export interface ListedVerdict {
  readonly ref: OpRef;
  /** Of the op, in bytes. */
  readonly size: number;
  readonly key: RecordKey | undefined;
  readonly verdict: Exclude<Verdict, { readonly state: 'applied' }>;
}

/** Entries, records, indexes and digests in one LevelDB; `commit` writes all that belongs together in one batch. */
export class Store implements LedgerStore {
  readonly #db: Database;
  readonly #feeds = new Map<string, FeedState>();
  readonly #byNo = new Map<number, FeedState>();
  readonly #byChannel = new Map<string, Map<string, FeedState>>();
  /** Feeds that something was erased of: for all others no erasure is looked for. */
  readonly #erasedFeeds = new Set<string>();
  readonly #read = new EntryCache();
  readonly digests: Digests;
  readonly usage = new UsageTable();
  readonly gaps = new GapTable();
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
      feeds.push(verifiedJson<FeedState>(key, value));
    for await (const key of this.#db.level.keys({ ...range('changes'), reverse: true, limit: 1 })) {
      this.#lastChange = Number.parseInt(innerKey(key), 16);
    }
    const erasedFeeds: string[] = [];
    for await (const key of this.#db.level.keys(range('erasures')))
      erasedFeeds.push(innerKey(key).split('|').slice(0, 3).join('|'));
    const show = await this.digests.read(this.#db);
    const count = await this.usage.read(this.#db.level);
    const gaps = await this.gaps.read(this.#db.level);
    // At one stroke: nobody is shown half of the feeds, or digests that are not theirs.
    this.#read.clear();
    this.#feeds.clear();
    this.#byNo.clear();
    this.#byChannel.clear();
    for (const feed of feeds) this.#keep(feed);
    for (const id of erasedFeeds) this.#erasedFeeds.add(id);
    gaps();
    count((no) => this.#byNo.get(no)?.author);
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

  /** The feed that rows name by this number. */
  feedNumbered(no: number): FeedState | undefined {
    return this.#byNo.get(no);
  }

  /** A place in the order of changes that nobody else gets: for rows that are made anew between two commits. */
  nextChange(): number {
    return ++this.#lastChange;
  }

  nextFeedNo(): number {
    return ++this.#lastFeedNo;
  }

  async entry(feedNo: number, seq: number): Promise<Entry | undefined> {
    const key = fullKey('entries', numberKey(feedNo) + numberKey(seq));
    const value = await this.#db.level.get(key);
    return value && readEntryRow(key, value);
  }

  async entryBytes(feedNo: number, seq: number): Promise<Uint8Array | undefined> {
    const key = fullKey('entries', numberKey(feedNo) + numberKey(seq));
    const value = await this.#db.level.get(key);
    return value && decodeEntryRow(key, value).bytes;
  }

  /** The entries of one feed from a sequence on, in order, as signed. */
  async *entriesFrom(feedNo: number, from: number, to: number): AsyncGenerator<Uint8Array> {
    for await (const [key, value] of this.#entryRows(feedNo, from, to))
      yield decodeEntryRow(key, value).bytes;
  }

  /** The same, read, each with its arrival. */
  async *wholeEntries(feedNo: number, from: number, to: number): AsyncGenerator<Entry> {
    for await (const [key, value] of this.#entryRows(feedNo, from, to)) yield readEntryRow(key, value);
  }

  #entryRows(feedNo: number, from: number, to: number): AsyncIterable<[string, Uint8Array]> {
    return this.#db.level.iterator({
      gte: fullKey('entries', numberKey(feedNo) + numberKey(from)),
      lte: fullKey('entries', numberKey(feedNo) + numberKey(to)),
      highWaterMarkBytes: 256 * 1024,
    });
  }

  async records(keys: readonly RecordKey[], turn?: Turn): Promise<(RecordState | undefined)[]> {
    const states: (RecordState | undefined)[] = [];
    // In pieces: what is read at once is in memory at once.
    for (let at = 0; at < keys.length; at += RECORDS_AT_ONCE) {
      const full = keys.slice(at, at + RECORDS_AT_ONCE).map((key) => fullKey('records', key));
      for (const [i, value] of (await this.#db.level.getMany(full)).entries()) {
        if (turn?.isOver() === true) await turn.next();
        states.push(value && this.#opened(full[i] ?? '', value));
      }
    }
    return states;
  }

  #opened(key: string, value: Uint8Array): RecordState {
    const { state, change } = verifiedJson<StoredRecord>(key, value);
    if (change !== NO_CHANGE) this.#changeOf.set(state, change);
    return state;
  }

  async recordOps(key: RecordKey, turn?: Turn): Promise<PlacedOp[]> {
    const ops: PlacedOp[] = [];
    for await (const { no, seq, index } of this.#opPlaces(key, turn)) {
      const op = (this.#read.get(no, seq) ?? (await this.#readOps(key, no, seq))).get(index);
      if (op !== undefined) ops.push(op);
    }
    return ops;
  }

  async recordRefs(key: RecordKey, turn?: Turn): Promise<OpRef[]> {
    const refs: OpRef[] = [];
    for await (const { no, seq, index } of this.#opPlaces(key, turn)) {
      const feed = this.#byNo.get(no);
      if (feed === undefined) continue;
      const { author, channel, epoch } = feed;
      refs.push({ author, channel, epoch, seq, index });
    }
    return refs;
  }

  async *#opPlaces(key: RecordKey, turn: Turn | undefined) {
    const start = fullKey('recordOps', `${key}\0`);
    for await (const full of this.#db.level.keys({ gte: start, lt: `${start}g` })) {
      if (turn?.isOver() === true) await turn.next();
      const ref = full.slice(start.length);
      const [no, seq, index] = [ref.slice(0, 8), ref.slice(8, 16), ref.slice(16)].map((hex) =>
        Number.parseInt(hex, 16),
      ) as [number, number, number];
      yield { no, seq, index };
    }
  }

  async #readOps(key: RecordKey, no: number, seq: number): Promise<ReadonlyMap<number, PlacedOp>> {
    const found = await this.entry(no, seq);
    if (found === undefined)
      throw new AgrinetError('value-damaged', 'an entry is missing; run: agrinet fsck', { details: { key } });
    return this.#read.add(no, found);
  }

  async hasOps(
    key: RecordKey,
    {
      author,
      channel,
      epoch,
    }: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
  ): Promise<boolean> {
    const feed = this.feed(author, channel, epoch);
    if (feed === undefined) return false;
    const start = fullKey('recordOps', `${key}\0${numberKey(feed.no)}`);
    for await (const found of this.#db.level.keys({ gte: start, lt: `${start}g`, limit: 1 }))
      return found !== '';
    return false;
  }

  async listed(refs: readonly OpRef[]): Promise<boolean[]> {
    const keys = refs.map((ref) =>
      fullKey('verdicts', refKey(this.feed(ref.author, ref.channel, ref.epoch)?.no ?? 0, ref)),
    );
    return (await this.#db.level.getMany(keys)).map((value) => value !== undefined);
  }

  async awaiting(missing: string): Promise<RecordKey[]> {
    const start = fullKey('awaiting', `${missing}\0`);
    const keys: RecordKey[] = [];
    for await (const full of this.#db.level.keys({ gte: start, lt: `${start}\u{10ffff}` }))
      keys.push(full.slice(start.length) as RecordKey);
    return keys;
  }

  async proof(feedNo: number): Promise<ForkProof | undefined> {
    const key = fullKey('forks', numberKey(feedNo));
    const value = await this.#db.level.get(key);
    return value && readForkProof(verifyChecksum(key, value));
  }

  async erasures(
    feed: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
    from: number,
    to: number,
  ): Promise<{ readonly seq: number; readonly bytes: Uint8Array }[]> {
    if (!this.#erasedFeeds.has(feedId(feed))) return [];
    const found: { seq: number; bytes: Uint8Array }[] = [];
    const gte = fullKey('erasures', erasureKey(feed, from));
    const lt = fullKey('erasures', `${erasureKey(feed, to)}\u{10ffff}`);
    for await (const [key, value] of this.#db.level.iterator({ gte, lt }))
      found.push({
        seq: Number.parseInt(key.split('|').at(-2) ?? '', 16),
        bytes: verifyChecksum(key, value),
      });
    return found;
  }

  /**
   * What rows say is made first, and others have their turn meanwhile: nobody else changes what this commit changes. Then the change
   * numbers are drawn and the batch is written, and nobody comes between: whoever reads by change number misses none.
   */
  async commit(commit: Commit, turn: Turn): Promise<void> {
    const numbers = new Map(commit.feeds.map((feed) => [feedId(feed), feed.no]));
    const numberOf = (ref: OpRef): number =>
      numbers.get(feedId(ref)) ?? this.feed(ref.author, ref.channel, ref.epoch)?.no ?? 0;
    const ops = feedRows(commit);
    for (const judged of commit.verdicts) {
      ops.push(...verdictRows(judged, numberOf(judged.ref)));
      if (turn.isOver()) await turn.next();
    }
    for (const { ref, key } of commit.erased) ops.push(...erasedRows(ref, key, numberOf(ref)));
    if (commit.dropped !== undefined) ops.push(...droppedRows(commit.dropped, numberOf));
    const closed = commit.feeds.flatMap(({ no, seq }) => {
      const gap = this.gaps.of(no);
      return gap !== undefined && seq >= gap.seq ? [gap] : [];
    });
    for (const gap of closed) ops.push(...closingRows(gap));
    for (const { missing, key } of commit.awaiting)
      ops.push(put(fullKey('awaiting', `${missing}\0${key}`), EMPTY));
    const usage = await this.#usageChanges(commit, numberOf, turn);
    const sums = this.digests.begin();
    const states: string[] = [];
    for (const { key, before, after } of commit.records) {
      if (before?.unmerged !== undefined && after.unmerged === undefined)
        ops.push(del(fullKey('awaiting', `${MERGE}\0${key}`)));
      states.push(JSON.stringify(after));
      ops.push(...indexRows(before, after));
      sums.change(before, after);
      if (turn.isOver()) await turn.next();
    }
    await turn.undivided(async () => {
      const change = await this.#numbered(commit, states, ops, turn);
      sums.write(ops);
      ops.push(...this.usage.rows(usage));
      await this.#db.batch(ops, commit.sync, turn);
      this.#lastChange = change;
      sums.commit();
      this.usage.apply(usage);
      for (const feed of commit.feeds) this.#keep(feed);
      for (const erasure of commit.erasures) this.#erasedFeeds.add(feedId(erasure));
      for (const { no } of closed) this.gaps.closed(no);
      for (const { feed, entry } of [...commit.entries, ...(commit.dropped?.entries ?? [])])
        this.#read.drop(feed.no, entry.header.seq);
    });
  }

  gap(feedNo: number): Gap | undefined {
    return this.gaps.of(feedNo);
  }

  /**
   * Notes feeds of a node as forgotten, in one batch: from then on nothing beyond what their gaps keep is of them. To be called
   * between two commits.
   */
  async forget(gaps: readonly Gap[], node: string): Promise<void> {
    const feeds = gaps.flatMap(({ no }) => {
      const feed = this.#byNo.get(no);
      if (feed === undefined) return [];
      const { fork, ...rest } = { ...feed, seq: 0, hash: '', after: [] };
      return [fork === undefined ? rest : { ...rest, fork: { ...fork, below: '' } }];
    });
    const rows = gaps.flatMap((gap) => gapRows(gap, this.gaps.of(gap.no)));
    this.gaps.sweeping = node;
    await this.#db.batch([...rows, ...feeds.map(feedRow), sweepingRow(node)], true);
    for (const gap of gaps) this.gaps.note(gap);
    for (const feed of feeds) this.#keep(feed);
  }

  /** All of it is gone. Whoever reads by change number reads anew: what went has left no trace there. */
  async forgotten(): Promise<void> {
    await this.#db.batch([sweepingRow(undefined), newGeneration(this.#db.env)], true);
    this.gaps.sweeping = undefined;
  }

  usageOf(author: PeerId): Usage {
    return this.usage.of(author);
  }

  /** What a commit adds to and takes from what authors take up. Only of ops judged before is looked up how they stood. */
  async #usageChanges(
    { entries, verdicts, erased, dropped }: Commit,
    numberOf: (ref: OpRef) => number,
    turn: Turn,
  ): Promise<UsageChanges> {
    const changes = new UsageChanges();
    const fresh = new Set<string>();
    for (const { feed, entry } of entries) {
      const { seq } = entry.header;
      const isHeld = this.gaps.of(feed.no)?.kept.has(seq) === true;
      const isNew = seq > (this.#byNo.get(feed.no)?.seq ?? 0) && !isHeld;
      if (isNew) fresh.add(`${feed.no}|${seq}`);
      const before = isNew ? 0 : ((await this.entryBytes(feed.no, seq))?.length ?? 0);
      changes.add(feed.no, feed.author, { bytes: entry.bytes.length - before });
    }
    const again: { readonly ref: OpRef; readonly no: number }[] = [];
    for (const { ref, verdict } of verdicts) {
      const no = numberOf(ref);
      if (verdict.state === 'pending') changes.pending(no, ref.author, 1, ref.bytes.length);
      if (!fresh.has(`${no}|${ref.seq}`)) again.push({ ref, no });
    }
    for (const { ref } of [...erased, ...(dropped?.ops ?? [])]) again.push({ ref, no: numberOf(ref) });
    for (const { feed, entry } of dropped?.entries ?? [])
      changes.add(feed.no, feed.author, { bytes: -entry.bytes.length });
    for (let at = 0; at < again.length; at += RECORDS_AT_ONCE) {
      const some = again.slice(at, at + RECORDS_AT_ONCE);
      const keys = some.map(({ ref, no }) => fullKey('verdicts', refKey(no, ref)));
      const rows = await this.#db.level.getMany(keys);
      for (const [i, { ref, no }] of some.entries()) {
        const row = rows[i];
        const before = row && verifiedJson<ListedVerdict>(keys[i] ?? '', row);
        if (before?.verdict.state === 'pending') changes.pending(no, ref.author, -1, before.size);
      }
      if (turn.isOver()) await turn.next();
    }
    return changes;
  }

  /**
   * The rows that hold change numbers; the last one drawn. Private records have none: the order of changes is told to everybody, as the
   * cursor of an export, and must not move with what most may not know of.
   */
  async #numbered(
    { records, dropped }: Commit,
    states: readonly string[],
    ops: BatchOp[],
    turn: Turn,
  ): Promise<number> {
    let change = this.#lastChange;
    for (const [i, { key, before, after }] of records.entries()) {
      const previous = before && this.#changeOf.get(before);
      if (previous !== undefined) ops.push(del(fullKey('changes', numberKey(previous, 12))));
      if (dropped?.gone.has(key) === true) {
        ops.push(del(fullKey('records', key)));
        continue;
      }
      const isPublic = after.channel === 'public';
      if (isPublic) {
        change++;
        this.#changeOf.set(after, change);
        ops.push(put(fullKey('changes', numberKey(change, 12)), Buffer.from(key)));
      }
      const full = fullKey('records', key);
      ops.push(put(full, withChecksum(full, storedRecord(states[i] ?? '', isPublic ? change : NO_CHANGE))));
      if (turn.isOver()) await turn.next();
    }
    return change;
  }
}

/** The bytes of a `StoredRecord` around a state that is JSON already. */
function storedRecord(state: string, change: number): Uint8Array {
  return Buffer.from(`{"state":${state},"change":${change}}`);
}

/** Records read from the disk in one go: each may be some 100 KB. */
const RECORDS_AT_ONCE = 64;

const put = (key: string, value: Uint8Array): BatchOp => ({ type: 'put', key, value });
const del = (key: string): BatchOp => ({ type: 'del', key });

function feedRow(feed: FeedState): BatchOp {
  const key = fullKey('feeds', numberKey(feed.no));
  return putJson(key, feed);
}

/** The rows of entries, feeds, proofs and erasures. */
function feedRows({ entries, feeds, proofs, erasures }: Commit): BatchOp[] {
  const putChecked = (key: string, bytes: Uint8Array): BatchOp => put(key, withChecksum(key, bytes));
  return [
    ...entries.map(({ feed, entry }) => {
      const key = fullKey('entries', numberKey(feed.no) + numberKey(entry.header.seq));
      return put(key, encodeEntryRow(key, entry));
    }),
    ...feeds.map(feedRow),
    ...proofs.map(({ feed, proof }) => putChecked(fullKey('forks', numberKey(feed.no)), proof.bytes)),
    ...erasures.map((erasure) =>
      putChecked(fullKey('erasures', erasureKey(erasure, erasure.seq) + erasure.id), erasure.bytes),
    ),
  ];
}

function verdictRows({ ref, key, verdict, fresh }: Commit['verdicts'][number], feedNo: number): BatchOp[] {
  const rows = fresh && key !== undefined ? [put(recordOpKey(key, feedNo, ref), EMPTY)] : [];
  const { key: row, listed } = verdictRow(ref, feedNo, key, verdict);
  if (listed === undefined) return fresh ? rows : [...rows, del(row)];
  return [...rows, putJson(row, listed)];
}

function erasedRows(ref: OpRef, key: RecordKey, feedNo: number): BatchOp[] {
  const todo = fullKey('meta', ERASING + key);
  return [
    del(recordOpKey(key, feedNo, ref)),
    del(fullKey('verdicts', refKey(feedNo, ref))),
    putJson(todo, key),
  ];
}

/** What a record is found by, as far as that changes. */
function indexRows(before: RecordState | undefined, after: RecordState): BatchOp[] {
  const oldKeys = indexKeys(before);
  const newKeys = indexKeys(after);
  return [
    ...oldKeys.filter((index) => !newKeys.includes(index)).map((index) => del(fullKey('index', index))),
    ...newKeys
      .filter((index) => !oldKeys.includes(index))
      .map((index) => put(fullKey('index', index), EMPTY)),
  ];
}
