import type { Checkpoint } from '../feed/checkpoint.ts';
import type { HlcTime } from '../feed/clock.ts';
import type { Entry } from '../feed/entry.ts';
import type { Erasure } from '../feed/erasure.ts';
import type { FeedState } from '../feed/feed.ts';
import type { Gaps } from '../feed/gap.ts';
import type { Usage } from '../feed/quota.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Floor } from '../open-dialog/floor.ts';
import type { PastChange } from '../open-dialog/late-change.ts';
import type { OpRef, PlacedOp, RecordState, Verdict } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { Turn } from './turn.ts';

/** A record before and after a commit. */
export interface RecordChange {
  readonly key: RecordKey;
  readonly before: RecordState | undefined;
  readonly after: RecordState;
}

/** What is removed of forgotten entries. */
export interface Dropped {
  readonly entries: readonly { readonly feed: FeedState; readonly entry: Entry }[];
  /**
   * Ops that no longer have effect, with the record from which they are found; of an op that belongs to no record, only its verdict
   * is removed.
   */
  readonly ops: readonly { readonly ref: OpRef; readonly key: RecordKey | undefined }[];
  /** Records of which nothing is held any more. */
  readonly gone: ReadonlySet<RecordKey>;
}

/** The place of a record's op in its feed, and the number of a change that followed everything applied before it. */
export interface OpPlace {
  readonly seq: number;
  readonly index: number;
  readonly no?: number;
}

/** A stretch of a feed. */
export interface Covered {
  readonly from: OpPlace;
  readonly to: OpPlace;
}

/** An applied change that is kept by its hash. */
export type PastRow = readonly [hash: string, past: PastChange];

/** How a commit changes what is stored of a record's changes: it adds some, or removes all, or only how far they were read. */
export interface PastCommit {
  readonly key: RecordKey;
  readonly rows: readonly PastRow[];
  readonly without?: 'all' | 'walks';
}

/** How far a checkpoint of an owner has taken effect after a commit: for records up to this one in the order of floors, or for all. */
export interface FloorStep {
  readonly owner: PeerId;
  readonly upTo: RecordKey | undefined;
}

/** A checkpoint that is to take effect, all of whose floors are stored. */
export interface FloorsToCome {
  /** Records up to this one are above it. */
  readonly upTo: RecordKey | undefined;
  /** Records that its owner has or that have a floor by it, behind one of them, in the order of floors. */
  keys(behind: RecordKey | undefined, limit: number): Promise<RecordKey[]>;
  floor(key: RecordKey): Promise<Floor | undefined>;
  coverOf(key: RecordKey, feed: Pick<OpRef, 'author' | 'channel' | 'epoch'>): number;
  /** Whether a record has a floor, and that is the one which it has now. */
  isAsNow(key: RecordKey): Promise<boolean>;
}

/** The verdict on one op, and whether the op is new or was evaluated again. */
export interface EvaluatedOp {
  readonly ref: OpRef;
  /** Of the op, in bytes. */
  readonly size: number;
  readonly key: RecordKey | undefined;
  readonly verdict: Verdict;
  readonly fresh: boolean;
  /** Of a change that followed all that was applied before it: its number among them. */
  readonly no?: number | undefined;
}

/** What one commit writes, all or nothing. */
export interface Commit {
  readonly entries: readonly { readonly feed: FeedState; readonly entry: Entry }[];
  /** Feeds in their state after the commit, those of `entries` included. */
  readonly feeds: readonly FeedState[];
  readonly records: readonly RecordChange[];
  /** Ops that belong to a record: their places and their verdicts. */
  readonly verdicts: readonly EvaluatedOp[];
  readonly past?: readonly PastCommit[];
  readonly awaiting: readonly { readonly missing: string; readonly key: RecordKey }[];
  /** A channel all of whose facts have been evaluated again. */
  readonly evaluated?: RecordKey;
  readonly proofs: readonly { readonly feed: FeedState; readonly proof: ForkProof }[];
  /** Erasures that took effect here or wait for their entry; entries they change are among `entries`. */
  readonly erasures: readonly Erasure[];
  /** Checkpoints that came, each where it stands. */
  readonly checkpoints?: readonly { readonly ref: OpRef; readonly checkpoint: Checkpoint }[];
  /** Ops that are gone from their entries. */
  readonly erased: readonly { readonly ref: OpRef; readonly key: RecordKey }[];
  readonly dropped?: Dropped;
  /** The newest time of own entries among these: the own clock goes on from it at the next start. */
  readonly ownTime?: HlcTime | undefined;
  /** Records whose floors have lost their values to an erasure. */
  readonly unfloored?: readonly RecordKey[];
  readonly floors?: FloorStep;
  /** Records that show what they have shown, and are otherwise as they are above their floors. Nobody is told of these. */
  readonly restated?: readonly RecordChange[];
  /** Wait for the disk: own writes that somebody waits for. */
  readonly sync: boolean;
}

/** What the ledger needs of a database. Reads throw `value-damaged` rather than return wrong data. With a turn, long work yields. */
export interface LedgerStore extends Gaps {
  feeds(author: PeerId, channel: Channel): readonly FeedState[];
  feed(author: PeerId, channel: Channel, epoch: string): FeedState | undefined;
  /** Every feed held, grouped by author and channel. */
  feedGroups(): { author: PeerId; channel: Channel; feeds: FeedState[] }[];
  /** A number for a feed not held yet. */
  nextFeedNo(): number;
  entry(feedNo: number, seq: number): Promise<Entry | undefined>;
  /** The entries of a feed that are held from one sequence to another, in order, as signed. */
  entriesFrom(feedNo: number, from: number, to: number): AsyncIterable<Uint8Array>;
  records(keys: readonly RecordKey[], turn?: Turn): Promise<(RecordState | undefined)[]>;
  /** Whether a feed holds an op of this record. */
  hasOps(
    key: RecordKey,
    feed: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
  ): Promise<boolean>;
  /** Of each op, whether it is listed as one that is rejected or pending. */
  listed(refs: readonly OpRef[]): Promise<boolean[]>;
  /** A number larger than any that was given before. */
  nextOpNo(): number;
  /** The feeds that hold ops of a record. */
  opFeeds(key: RecordKey): Promise<FeedState[]>;
  /** Places of a record's ops in a feed, in order or in the reverse one, between two places and without them. */
  opPlaces(
    key: RecordKey,
    feedNo: number,
    bounds: {
      readonly above?: OpPlace | undefined;
      readonly below?: OpPlace | undefined;
      readonly reverse?: true;
    },
    limit: number,
  ): Promise<OpPlace[]>;
  /** The op at such a place; undefined where it is erased. */
  opAt(key: RecordKey, feedNo: number, place: OpPlace): Promise<PlacedOp | undefined>;
  /** What is stored of a record's changes, by their hashes. */
  past(key: RecordKey, hashes: readonly string[]): Promise<(PastChange | undefined)[]>;
  /** The stretches of a feed that were walked for a record, the newest first: every applied change in them is kept. */
  covered(key: RecordKey, feedNo: number): Promise<readonly Covered[]>;
  /** Stores what was read. It is derived from rows that are written, so it needs no commit. */
  keepPast(
    key: RecordKey,
    rows: readonly PastRow[],
    walked: { readonly no: number; readonly stretches: readonly Covered[] },
  ): Promise<void>;
  /** The places of a record's ops; their entries are not read. */
  recordRefs(key: RecordKey, turn?: Turn): Promise<OpRef[]>;
  /** Records that wait for this. */
  awaiting(
    missing: string,
    page?: { readonly after?: RecordKey | undefined; readonly limit: number },
  ): Promise<RecordKey[]>;
  proof(feedNo: number): Promise<ForkProof | undefined>;
  /** Erasures of the entries `from` to `to` of a feed, held or not, by sequence. */
  erasures(
    feed: { readonly author: PeerId; readonly channel: Channel; readonly epoch: string },
    from: number,
    to: number,
  ): Promise<{ readonly seq: number; readonly bytes: Uint8Array }[]>;
  /** Where a record begins; undefined where that is its genesis. */
  floor(key: RecordKey): Promise<Floor | undefined>;
  /** Up to where a feed's changes of a record have no effect of their own; 0 where no checkpoint covers any. */
  coverOf(key: RecordKey, feed: Pick<OpRef, 'author' | 'channel' | 'epoch'>): number;
  /** What is to take effect of an owner. */
  floorsToCome(owner: PeerId): FloorsToCome | undefined;
  /** Owners of whom some is. */
  comingFloors(): PeerId[];
  /** The storage that an author's entries use. */
  usageOf(author: PeerId): Usage;
  /**
   * Hands one batch over, to be written behind those before it and only if they are. It is made over several turns of the event
   * loop where it is large; what it changes is shown when it is written. `since` is what `failures` was before anything was read for
   * it: it fails when another commit has failed after that.
   */
  handOver(commit: Commit, turn: Turn, since: number): Promise<HandedOver>;
  /** How many commits have failed: data read before the last failure may not be stored. */
  readonly failures: number;
}

/** A commit that has its place: `written` resolves when it is in the database, as durable as it asked for. */
export interface HandedOver {
  readonly written: Promise<void>;
}
