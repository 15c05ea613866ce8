import { type Checkpoint, readCheckpoint } from '../protocols/checkpoint/statement.ts';
import type { Entry } from '../protocols/feed/entry.ts';
import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, readForkProof } from '../protocols/feed/fork.ts';
import type { Gap } from '../protocols/feed/gap.ts';
import type { Commit, HandedOver, LedgerStore, OpPlace } from '../protocols/ledger/ports.ts';
import type { Usage } from '../protocols/feed/quota.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import { MERGE, type OpRef, type PlacedOp, type RecordState } from '../protocols/open-dialog/record.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { newGeneration } from './change-order.ts';
import { ChangeNumbers } from './change-numbers.ts';
import { CommitLine } from './commit-line.ts';
import {
  del,
  EMPTY,
  entryRow,
  erasedRows,
  erasureKey,
  feedRow,
  feedRows,
  indexRows,
  put,
  verdictRows,
} from './commit-rows.ts';
import type { Database } from './database.ts';
import { Digests } from './digests.ts';
import { droppedRows } from './dropped.ts';
import { EntryCache } from './entry-cache.ts';
import { decodeEntryRow, entryBytesIn, entryKey, readEntryRow } from './entry-row.ts';
import { FeedTable } from './feed-table.ts';
import { closingRows, gapRows, GapTable, sweepingRow } from './gap-table.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { refKey } from './op-keys.ts';
import { OpNumbers } from './op-numbers.ts';
import { numberIn, pastPuts, pastRows, placeKey, readPast, readWalked, walkedKey } from './past-rows.ts';
import { draftRecord, type RecordDraft } from './stored-record.ts';
import { NoticeRows } from './pending-notices.ts';
import { UsageTable } from './usage.ts';
import { usageChanges } from './usage-changes.ts';
import { putJson, verifiedJson, verifyChecksum } from './values.ts';
import { ChangedListingRows } from './want-table.ts';

/** Records read from the disk in one go: each may be some 100 KB. */
const RECORDS_AT_ONCE = 64;

/** A checkpoint, and where its op stands. */
export interface PlacedCheckpoint {
  readonly epoch: string;
  readonly seq: number;
  readonly index: number;
  readonly checkpoint: Checkpoint;
}

/** Entries, records, indexes and digests in one LevelDB; `commit` writes all that belongs together in one batch. */
export class Store implements LedgerStore {
  readonly #db: Database;
  readonly #feeds = new FeedTable();
  /** Feeds that something was erased of: for all others no erasure is looked for. */
  readonly #erasedFeeds = new Set<string>();
  readonly #read = new EntryCache();
  readonly digests = new Digests();
  readonly usage = new UsageTable();
  readonly gaps = new GapTable();
  readonly #changes = new ChangeNumbers();
  readonly #opNumbers = new OpNumbers();
  readonly #line: CommitLine;
  /** The rows that commits leave for notices. */
  readonly pendingNotices = new NoticeRows();
  /** Those that they leave for saved searches. */
  readonly changedListings = new ChangedListingRows();

  private constructor(db: Database) {
    this.#db = db;
    this.#line = new CommitLine(db);
  }

  static async open(db: Database): Promise<Store> {
    const store = new Store(db);
    await store.reload();
    return store;
  }

  /** Reads the feeds and counters again, after a re-opening or a rebuild. */
  async reload(): Promise<void> {
    const feeds: FeedState[] = [];
    for await (const [key, value] of this.#db.level.iterator(range('feeds')))
      feeds.push(verifiedJson<FeedState>(key, value));
    await this.#changes.read(this.#db.level);
    await this.#opNumbers.read(this.#db.level);
    await this.pendingNotices.read(this.#db.level);
    await this.changedListings.read(this.#db.level);
    const erasedFeeds: string[] = [];
    for await (const key of this.#db.level.keys(range('erasures')))
      erasedFeeds.push(innerKey(key).split('|').slice(0, 3).join('|'));
    const show = await this.digests.read(this.#db);
    const count = await this.usage.read(this.#db.level);
    const gaps = await this.gaps.read(this.#db.level);
    // In one step: nobody sees half of the feeds, or digests of others.
    this.#read.clear();
    this.#feeds.replace(feeds);
    for (const id of erasedFeeds) this.#erasedFeeds.add(id);
    gaps();
    count((no) => this.#feeds.numbered(no)?.author);
    show();
  }

  feeds(author: PeerId, channel: Channel): readonly FeedState[] {
    return this.#feeds.of(author, channel);
  }

  feed(author: PeerId, channel: Channel, epoch: string): FeedState | undefined {
    return this.#feeds.get({ author, channel, epoch });
  }

  /** Every feed held, grouped by author and channel. */
  feedGroups(): ReturnType<FeedTable['groups']> {
    return this.#feeds.groups();
  }

  /** The feed that rows name by this number. */
  feedNumbered(no: number): FeedState | undefined {
    return this.#feeds.numbered(no);
  }

  /** A position in the order of changes that nothing else gets: for rows that are recreated between two commits. */
  nextChange(): number {
    return this.#changes.next();
  }

  /** The position of a record in the order of changes, by its state in a commit's notification; undefined for a private one. */
  changeOf(state: RecordState): number | undefined {
    return this.#changes.of(state);
  }

  nextFeedNo(): number {
    return this.#feeds.nextNo();
  }

  async entry(feedNo: number, seq: number): Promise<Entry | undefined> {
    const key = entryKey(feedNo, seq);
    const value = await this.#db.level.get(key);
    return value && readEntryRow(key, value);
  }

  async entryBytes(feedNo: number, seq: number): Promise<Uint8Array | undefined> {
    return entryBytesIn(this.#db.level, feedNo, seq);
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
      gte: entryKey(feedNo, from),
      lte: entryKey(feedNo, to),
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
        states.push(value && this.#changes.opened(full[i] ?? '', value));
      }
    }
    return states;
  }

  /** Every op of a record, at once: for records that are known to be short. */
  async recordOps(key: RecordKey): Promise<PlacedOp[]> {
    return Array.fromAsync(this.opsOf(key));
  }

  /** Every op of a record, one after another. */
  async *opsOf(key: RecordKey): AsyncGenerator<PlacedOp> {
    for await (const { no, seq, index } of this.#opPlaces(key, undefined)) {
      const op = (this.#read.get(no, seq) ?? (await this.#readOps(key, no, seq))).get(index);
      if (op !== undefined) yield op;
    }
  }

  async recordRefs(key: RecordKey, turn?: Turn): Promise<OpRef[]> {
    const refs: OpRef[] = [];
    for await (const { no, seq, index } of this.#opPlaces(key, turn)) {
      const feed = this.#feeds.numbered(no);
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
      const part = (from: number, to?: number): number => Number.parseInt(ref.slice(from, to), 16);
      yield { no: part(0, 8), seq: part(8, 16), index: part(16) };
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

  nextOpNo(): number {
    return this.#opNumbers.next();
  }

  async opFeeds(key: RecordKey): Promise<FeedState[]> {
    const feeds: FeedState[] = [];
    const start = fullKey('recordOps', `${key}\0`);
    for (let after = start; ;) {
      const [found] = await this.#db.level.keys({ gte: after, lt: `${start}g`, limit: 1 }).all();
      if (found === undefined) return feeds;
      const no = Number.parseInt(found.slice(start.length, start.length + 8), 16);
      const feed = this.#feeds.numbered(no);
      if (feed !== undefined) feeds.push(feed);
      after = `${start}${numberKey(no + 1)}`;
    }
  }

  async opPlaces(
    key: RecordKey,
    feedNo: number,
    { above, below, reverse }: Parameters<LedgerStore['opPlaces']>[2],
    limit: number,
  ): Promise<OpPlace[]> {
    const start = fullKey('recordOps', `${key}\0${numberKey(feedNo)}`);
    const rows = this.#db.level.iterator({
      ...(above === undefined ? { gte: start } : { gt: start + placeKey(above) }),
      lt: below === undefined ? `${start}g` : start + placeKey(below),
      reverse: reverse ?? false,
      limit,
    });
    return (await rows.all()).map(([full, value]) => {
      const place = full.slice(start.length);
      const no = numberIn(full, value);
      return {
        seq: Number.parseInt(place.slice(0, 8), 16),
        index: Number.parseInt(place.slice(8), 16),
        ...(no === undefined ? {} : { no }),
      };
    });
  }

  async opAt(key: RecordKey, feedNo: number, { seq, index }: OpPlace): Promise<PlacedOp | undefined> {
    return (this.#read.get(feedNo, seq) ?? (await this.#readOps(key, feedNo, seq))).get(index);
  }

  past(...[key, hashes]: Parameters<LedgerStore['past']>): ReturnType<LedgerStore['past']> {
    return readPast(this.#db.level, key, hashes);
  }

  covered(...[key, feedNo]: Parameters<LedgerStore['covered']>): ReturnType<LedgerStore['covered']> {
    return readWalked(this.#db.level, key, feedNo);
  }

  async keepPast(...[key, rows, walked]: Parameters<LedgerStore['keepPast']>): Promise<void> {
    const ops = pastPuts(key, rows);
    ops.push(putJson(walkedKey(key, walked.no), walked.stretches));
    await this.#db.batch(ops, false);
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

  /** The checkpoints of an author, each where it stands, in the order of their places; one may stand in several. */
  async *checkpoints(author: PeerId): AsyncGenerator<PlacedCheckpoint> {
    const rows = this.#db.level.iterator({
      ...range('checkpoints', `${author}|`),
      highWaterMarkBytes: 256 * 1024,
    });
    for await (const [key, value] of rows) {
      const [, epoch = '', seq = '', index = ''] = innerKey(key).split('|');
      const place = { epoch, seq: Number.parseInt(seq, 16), index: Number.parseInt(index, 16) };
      yield { ...place, checkpoint: readCheckpoint(verifyChecksum(key, value)) };
    }
  }

  get failures(): number {
    return this.#line.failures;
  }

  /** Resolves when it is written. */
  async commit(commit: Commit, turn: Turn): Promise<void> {
    const { written } = await this.handOver(commit, turn, this.failures);
    await written;
  }

  /**
   * The rows are made first, while other tasks run: nothing else changes what this commit changes. Then the change numbers are drawn
   * and the batch gets its position after others, without interruption: whoever reads by change number misses none.
   */
  async handOver(commit: Commit, turn: Turn, since: number): Promise<HandedOver> {
    const numbers = new Map(commit.feeds.map((feed) => [feedId(feed), feed.no]));
    const numberOf = (ref: OpRef): number =>
      numbers.get(feedId(ref)) ?? this.feed(ref.author, ref.channel, ref.epoch)?.no ?? 0;
    const ops: BatchOp[] = [];
    for (const entry of commit.entries) {
      ops.push(entryRow(entry));
      if (turn.isOver()) await turn.next();
    }
    ops.push(...feedRows(commit));
    for (const evaluated of commit.verdicts) {
      ops.push(...verdictRows(evaluated, numberOf(evaluated.ref)));
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
    await pastRows(this.#db.level, commit.past ?? [], ops, turn);
    const usage = await usageChanges(
      { db: this.#db, gaps: this.gaps, feeds: this.#feeds },
      commit,
      numberOf,
      turn,
    );
    const sums = this.digests.begin();
    const drafts: RecordDraft[] = [];
    for (const { key, before, after } of commit.records) {
      if (before?.unmerged !== undefined && after.unmerged === undefined)
        ops.push(del(fullKey('awaiting', `${MERGE}\0${key}`)));
      drafts.push(draftRecord(after));
      ops.push(...indexRows(before, after));
      sums.change(before, after);
      if (turn.isOver()) await turn.next();
    }
    return turn.undivided(async () => {
      await this.#changes.rows(commit, drafts, ops, turn);
      sums.write(ops);
      this.#opNumbers.reserve(ops);
      ops.push(...this.#leftRows(commit.records), ...this.usage.rows(usage));
      this.usage.apply(usage);
      const written = this.#line.add(ops, commit.sync, since).then(
        () => {
          sums.commit();
          this.#show(commit, closed);
        },
        (error: unknown) => {
          sums.drop();
          this.usage.takeBack(usage);
          throw error;
        },
      );
      return { written };
    });
  }

  /** The rows that a commit leaves for notices. */
  #leftRows(records: Commit['records']): BatchOp[] {
    const now = this.#db.env.now();
    return [...this.pendingNotices.rows(records, now), ...this.changedListings.rows(records, now)];
  }

  /** How a commit changes what is kept in memory, once it is written. */
  #show({ feeds, erasures, entries, dropped }: Commit, closed: readonly Gap[]): void {
    for (const feed of feeds) this.#feeds.keep(feed);
    for (const erasure of erasures) this.#erasedFeeds.add(feedId(erasure));
    for (const { no } of closed) this.gaps.closed(no);
    for (const { feed, entry } of [...entries, ...(dropped?.entries ?? [])])
      this.#read.drop(feed.no, entry.header.seq);
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
      const feed = this.#feeds.numbered(no);
      if (feed === undefined) return [];
      const { fork, ...rest } = { ...feed, seq: 0, hash: '', after: [] };
      return [fork === undefined ? rest : { ...rest, fork: { ...fork, below: '' } }];
    });
    const rows = gaps.flatMap((gap) => gapRows(gap, this.gaps.of(gap.no)));
    this.gaps.sweeping = node;
    await this.#db.batch([...rows, ...feeds.map(feedRow), sweepingRow(node)], true);
    for (const gap of gaps) this.gaps.note(gap);
    for (const feed of feeds) this.#feeds.keep(feed);
  }

  /** All of it is removed. Readers by change number start again: what was removed left no trace there. */
  async forgotten(): Promise<void> {
    await this.#db.batch([sweepingRow(undefined), newGeneration(this.#db.env)], true);
    this.gaps.sweeping = undefined;
  }

  usageOf(author: PeerId): Usage {
    return this.usage.of(author);
  }
}
