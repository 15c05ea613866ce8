import { AttachmentTable } from './attachment-table.ts';
import type { HlcTime } from '../protocols/feed/clock.ts';
import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import type { Gap } from '../protocols/feed/gap.ts';
import type { Commit, FloorsToCome, HandedOver, LedgerStore } from '../protocols/ledger/ports.ts';
import type { Floor } from '../protocols/open-dialog/floor.ts';
import type { Usage } from '../protocols/feed/quota.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import { MERGE, type OpRef, type RecordState } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { newGeneration } from './change-order.ts';
import { CommitLine } from './commit-line.ts';
import {
  awaitingRows,
  del,
  droppedRows,
  entryRow,
  erasedRows,
  feedRow,
  feedRows,
  indexRows,
  OWN_TIME,
  verdictRows,
} from './commit-rows.ts';
import type { Database } from './database.ts';
import { Digests } from './digests.ts';
import { FloorTable, markKey } from './floor-table.ts';
import { closingRows, gapRows, GapTable, sweepingRow } from './gap-table.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import { OpNumbers } from './op-numbers.ts';
import { pastPuts, pastRows, walkedKey } from './past-rows.ts';
import { draftRecord, type RecordDraft } from './stored-record.ts';
import { NoticeRows } from './pending-notices.ts';
import { UsageTable } from './usage.ts';
import { usageChanges } from './usage-changes.ts';
import { putJson, soundJson, verifiedJson } from './values.ts';
import { ChangedListingRows } from './want-table.ts';
import { StoredFeeds } from './stored-feeds.ts';

/** Entries, records, indexes and digests in one LevelDB; `commit` writes all that belongs together in one batch. */
export class Store extends StoredFeeds implements LedgerStore {
  readonly digests = new Digests();
  readonly usage = new UsageTable();
  readonly gaps = new GapTable();
  readonly #opNumbers = new OpNumbers();
  readonly #line: CommitLine;
  /** The rows that commits leave for notices. */
  readonly pendingNotices = new NoticeRows();
  /** Those that they leave for saved searches. */
  readonly changedListings = new ChangedListingRows();
  readonly attachments: AttachmentTable;
  readonly floors: FloorTable;

  private constructor(db: Database) {
    super(db);
    this.attachments = new AttachmentTable(db);
    this.floors = new FloorTable(db);
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
    for await (const [key, value] of this.db.level.iterator(range('feeds')))
      feeds.push(verifiedJson<FeedState>(key, value));
    await this.changes.read(this.db.level);
    await this.#opNumbers.read(this.db.level);
    await this.pendingNotices.read(this.db.level);
    await this.changedListings.read(this.db.level);
    const erasedFeeds: string[] = [];
    for await (const key of this.db.level.keys(range('erasures')))
      erasedFeeds.push(innerKey(key).split('|').slice(0, 3).join('|'));
    const show = await this.digests.read(this.db);
    const count = await this.usage.read(this.db.level);
    const gaps = await this.gaps.read(this.db.level);
    const floors = await this.floors.read(this.db.level);
    this.attachments.forget();
    // In one step: nobody sees half of the feeds, or digests of others.
    this.cache.clear();
    this.held.replace(feeds);
    for (const id of erasedFeeds) this.erasedFeeds.add(id);
    gaps();
    floors();
    count((no) => this.held.numbered(no)?.author);
    show();
  }

  /** A position in the order of changes that nothing else gets: for rows that are recreated between two commits. */
  nextChange(): number {
    return this.changes.next();
  }

  /** The position of a record in the order of changes, by its state in a commit's notification; undefined for a private one. */
  changeOf(state: RecordState): number | undefined {
    return this.changes.of(state);
  }

  nextFeedNo(): number {
    return this.held.nextNo();
  }

  nextOpNo(): number {
    return this.#opNumbers.next();
  }

  async keepPast(...[key, rows, walked]: Parameters<LedgerStore['keepPast']>): Promise<void> {
    const ops = pastPuts(key, rows);
    ops.push(putJson(walkedKey(key, walked.no), walked.stretches));
    await this.db.batch(ops, false);
  }

  get failures(): number {
    return this.#line.failures;
  }

  /** The newest time that this node has signed; undefined where that is not known. */
  async ownTime(): Promise<HlcTime | undefined> {
    return soundJson<HlcTime>(OWN_TIME, await this.db.level.get(OWN_TIME));
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
    if (commit.ownTime !== undefined) ops.push(putJson(OWN_TIME, commit.ownTime));
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
    ops.push(...awaitingRows(commit));
    await pastRows(this.db.level, commit.past ?? [], ops, turn);
    const usage = await usageChanges(
      { db: this.db, gaps: this.gaps, feeds: this.held },
      commit,
      numberOf,
      turn,
    );
    const step = await this.#floorRows(commit, ops, turn);
    const sums = this.digests.begin();
    const drafts = await recordRows(commit, sums, ops, turn);
    return turn.undivided(async () => {
      await this.changes.rows(commit, drafts, ops, turn);
      sums.write(ops);
      this.#opNumbers.reserve(ops);
      ops.push(...this.#leftRows(commit.records), ...this.usage.rows(usage));
      this.usage.apply(usage);
      const written = this.#line.add(ops, commit.sync, since).then(
        () => {
          sums.commit();
          step?.show();
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

  /** What a commit changes in where records begin, with those that it writes as they are above that. */
  async #floorRows(
    { records, unfloored = [], erased, floors, restated = [] }: Commit,
    ops: BatchOp[],
    turn: Turn,
  ): Promise<ReturnType<FloorTable['stepped']> | undefined> {
    const ended = [...records, ...restated].flatMap(({ key, after }) => (after.erased === true ? [key] : []));
    await this.floors.erase([...unfloored, ...ended], erased, ops);
    for (const change of restated) {
      ops.push(this.changes.restated(change));
      if (turn.isOver()) await turn.next();
    }
    const step = floors && this.floors.stepped(floors);
    if (step !== undefined) ops.push(step.row);
    return step;
  }

  /** The rows that a commit leaves for notices. */
  #leftRows(records: Commit['records']): BatchOp[] {
    const now = this.db.env.now();
    return [
      ...this.pendingNotices.rows(records, now),
      ...this.changedListings.rows(records, now),
      ...this.attachments.rows(records, now),
    ];
  }

  /** How a commit changes what is kept in memory, once it is written. */
  #show({ feeds, erasures, entries, dropped }: Commit, closed: readonly Gap[]): void {
    for (const feed of feeds) this.held.keep(feed);
    for (const erasure of erasures) this.erasedFeeds.add(feedId(erasure));
    for (const { no } of closed) this.gaps.closed(no);
    for (const { feed, entry } of [...entries, ...(dropped?.entries ?? [])])
      this.cache.drop(feed.no, entry.header.seq);
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
      const feed = this.held.numbered(no);
      if (feed === undefined) return [];
      const { fork, ...rest } = { ...feed, seq: 0, hash: '', after: [] };
      return [fork === undefined ? rest : { ...rest, fork: { ...fork, below: '' } }];
    });
    const rows = gaps.flatMap((gap) => gapRows(gap, this.gaps.of(gap.no)));
    this.gaps.sweeping = node;
    const owners = new Set(feeds.flatMap(({ author, channel }) => (channel === 'public' ? [author] : [])));
    const marks = [...owners].map((owner) => del(markKey(owner)));
    await this.db.batch([...rows, ...marks, ...feeds.map(feedRow), sweepingRow(node)], true);
    for (const owner of owners) this.floors.gone(owner);
    for (const gap of gaps) this.gaps.note(gap);
    for (const feed of feeds) this.held.keep(feed);
  }

  /** All of it is removed. Readers by change number start again: what was removed left no trace there. */
  async forgotten(): Promise<void> {
    await this.db.batch([sweepingRow(undefined), newGeneration(this.db.env)], true);
    this.gaps.sweeping = undefined;
  }

  floor(key: RecordKey): Promise<Floor | undefined> {
    return this.floors.floor(key);
  }

  coverOf(...what: Parameters<LedgerStore['coverOf']>): number {
    return this.floors.coverOf(...what);
  }

  isFloorErased(key: RecordKey): Promise<boolean> {
    return this.floors.isErased(key);
  }

  floorsToCome(owner: PeerId): FloorsToCome | undefined {
    return this.floors.toCome(owner);
  }

  comingFloors(): PeerId[] {
    return this.floors.coming();
  }

  usageOf(author: PeerId): Usage {
    return this.usage.of(author);
  }
}

/** Adds the rows of a commit's records but for those that their change numbers are part of: these as drafts. */
async function recordRows(
  { records }: Commit,
  sums: ReturnType<Digests['begin']>,
  ops: BatchOp[],
  turn: Turn,
): Promise<RecordDraft[]> {
  const drafts: RecordDraft[] = [];
  for (const { key, before, after } of records) {
    if (before?.unmerged !== undefined && after.unmerged === undefined)
      ops.push(del(fullKey('awaiting', `${MERGE}\0${key}`)));
    drafts.push(draftRecord(after));
    ops.push(...indexRows(before, after));
    sums.change(before, after);
    if (turn.isOver()) await turn.next();
  }
  return drafts;
}
