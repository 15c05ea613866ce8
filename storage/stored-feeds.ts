import type { Entry } from '../protocols/feed/entry.ts';
import { feedId, type FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, readForkProof } from '../protocols/feed/fork.ts';
import type { LedgerStore, OpPlace } from '../protocols/ledger/ports.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import type { OpRef, PlacedOp, RecordState } from '../protocols/open-dialog/record.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { ChangeNumbers } from './change-numbers.ts';
import { checkpointKey, erasureKey } from './commit-rows.ts';
import type { Database } from './database.ts';
import { EntryCache } from './entry-cache.ts';
import { decodeEntryRow, entryBytesIn, entryKey, readEntryRow } from './entry-row.ts';
import { FeedTable } from './feed-table.ts';
import { fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { refKey } from './op-keys.ts';
import { numberIn, placeKey, readPast, readWalked } from './past-rows.ts';
import { verifyChecksum } from './values.ts';
import { type Checkpoint, readCheckpoint } from '../protocols/feed/checkpoint.ts';

/** Records read from the disk in one go: each may be some 100 KB. */
const RECORDS_AT_ONCE = 64;

/** Where the op of an author's checkpoint stands. */
export type CheckpointPlace = Pick<OpRef, 'epoch' | 'seq' | 'index'>;

/** A checkpoint, and where its op stands. */
export interface PlacedCheckpoint extends CheckpointPlace {
  readonly checkpoint: Checkpoint;
}

/** Feeds, their entries and ops, and the records these make, as they are held: what the ledger reads. */
export class StoredFeeds {
  protected readonly db: Database;
  protected readonly held = new FeedTable();
  /** Feeds that something was erased of: for all others no erasure is looked for. */
  protected readonly erasedFeeds = new Set<string>();
  protected readonly cache = new EntryCache();
  protected readonly changes = new ChangeNumbers();

  protected constructor(db: Database) {
    this.db = db;
  }

  feeds(author: PeerId, channel: Channel): readonly FeedState[] {
    return this.held.of(author, channel);
  }

  feed(author: PeerId, channel: Channel, epoch: string): FeedState | undefined {
    return this.held.get({ author, channel, epoch });
  }

  /** Every feed held, grouped by author and channel. */
  feedGroups(): ReturnType<FeedTable['groups']> {
    return this.held.groups();
  }

  /** The feed that rows name by this number. */
  feedNumbered(no: number): FeedState | undefined {
    return this.held.numbered(no);
  }

  async entry(feedNo: number, seq: number): Promise<Entry | undefined> {
    const key = entryKey(feedNo, seq);
    const value = await this.db.level.get(key);
    return value && readEntryRow(key, value);
  }

  async entryBytes(feedNo: number, seq: number): Promise<Uint8Array | undefined> {
    return entryBytesIn(this.db.level, feedNo, seq);
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
    return this.db.level.iterator({
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
      for (const [i, value] of (await this.db.level.getMany(full)).entries()) {
        if (turn?.isOver() === true) await turn.next();
        states.push(value && this.changes.opened(full[i] ?? '', value));
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
      const op = (this.cache.get(no, seq) ?? (await this.#readOps(key, no, seq))).get(index);
      if (op !== undefined) yield op;
    }
  }

  async recordRefs(key: RecordKey, turn?: Turn): Promise<OpRef[]> {
    const refs: OpRef[] = [];
    for await (const { no, seq, index } of this.#opPlaces(key, turn)) {
      const feed = this.held.numbered(no);
      if (feed === undefined) continue;
      const { author, channel, epoch } = feed;
      refs.push({ author, channel, epoch, seq, index });
    }
    return refs;
  }

  async *#opPlaces(key: RecordKey, turn: Turn | undefined) {
    const start = fullKey('recordOps', `${key}\0`);
    for await (const full of this.db.level.keys({ gte: start, lt: `${start}g` })) {
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
    return this.cache.add(no, found);
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
    for await (const found of this.db.level.keys({ gte: start, lt: `${start}g`, limit: 1 }))
      return found !== '';
    return false;
  }

  async opFeeds(key: RecordKey): Promise<FeedState[]> {
    const feeds: FeedState[] = [];
    const start = fullKey('recordOps', `${key}\0`);
    for (let after = start; ;) {
      const [found] = await this.db.level.keys({ gte: after, lt: `${start}g`, limit: 1 }).all();
      if (found === undefined) return feeds;
      const no = Number.parseInt(found.slice(start.length, start.length + 8), 16);
      const feed = this.held.numbered(no);
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
    const rows = this.db.level.iterator({
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
    return (this.cache.get(feedNo, seq) ?? (await this.#readOps(key, feedNo, seq))).get(index);
  }

  past(...[key, hashes]: Parameters<LedgerStore['past']>): ReturnType<LedgerStore['past']> {
    return readPast(this.db.level, key, hashes);
  }

  covered(...[key, feedNo]: Parameters<LedgerStore['covered']>): ReturnType<LedgerStore['covered']> {
    return readWalked(this.db.level, key, feedNo);
  }

  async listed(refs: readonly OpRef[]): Promise<boolean[]> {
    const keys = refs.map((ref) =>
      fullKey('verdicts', refKey(this.feed(ref.author, ref.channel, ref.epoch)?.no ?? 0, ref)),
    );
    return (await this.db.level.getMany(keys)).map((value) => value !== undefined);
  }

  async awaiting(...[missing, page]: Parameters<LedgerStore['awaiting']>): Promise<RecordKey[]> {
    const start = fullKey('awaiting', `${missing}\0`);
    const from = page?.after === undefined ? { gte: start } : { gt: start + page.after };
    const limit = page?.limit ?? -1;
    const keys: RecordKey[] = [];
    for await (const full of this.db.level.keys({ ...from, lt: `${start}\u{10ffff}`, limit }))
      keys.push(full.slice(start.length) as RecordKey);
    return keys;
  }

  async proof(feedNo: number): Promise<ForkProof | undefined> {
    const key = fullKey('forks', numberKey(feedNo));
    const value = await this.db.level.get(key);
    return value && readForkProof(verifyChecksum(key, value));
  }

  async erasures(
    feed: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
    from: number,
    to: number,
  ): Promise<{ readonly seq: number; readonly bytes: Uint8Array }[]> {
    if (!this.erasedFeeds.has(feedId(feed))) return [];
    const found: { seq: number; bytes: Uint8Array }[] = [];
    const gte = fullKey('erasures', erasureKey(feed, from));
    const lt = fullKey('erasures', `${erasureKey(feed, to)}\u{10ffff}`);
    for await (const [key, value] of this.db.level.iterator({ gte, lt }))
      found.push({
        seq: Number.parseInt(key.split('|').at(-2) ?? '', 16),
        bytes: verifyChecksum(key, value),
      });
    return found;
  }

  /** Keys of an owner's records in a collection that stand behind a local id, in order, public and private ones. */
  async recordKeys(collection: string, owner: PeerId, behind: string, limit: number): Promise<RecordKey[]> {
    const start = fullKey('records', `${collection}/${owner}/`);
    const keys = this.db.level.keys({ gt: start + behind, lt: `${start}\u{10ffff}`, limit });
    return (await keys.all()).map((key) => innerKey(key) as RecordKey);
  }

  /** The checkpoints of an author, each where it stands, in the order of their places; one may stand in several. */
  async *checkpoints(author: PeerId): AsyncGenerator<PlacedCheckpoint> {
    const rows = this.db.level.iterator({
      ...range('checkpoints', `${author}|`),
      highWaterMarkBytes: 256 * 1024,
    });
    for await (const [key, value] of rows) {
      const [, epoch = '', seq = '', index = ''] = innerKey(key).split('|');
      const place = { epoch, seq: Number.parseInt(seq, 16), index: Number.parseInt(index, 16) };
      yield { ...place, checkpoint: readCheckpoint(verifyChecksum(key, value)) };
    }
  }

  /** The checkpoint at such a place. */
  async checkpointAt(author: PeerId, place: CheckpointPlace): Promise<Checkpoint | undefined> {
    const key = checkpointKey({ author, channel: 'public', ...place });
    const value = await this.db.level.get(key);
    return value && readCheckpoint(verifyChecksum(key, value));
  }
}
