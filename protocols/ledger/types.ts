import type { ErrorCode } from '../error-codes.ts';
import type { Env } from '../env.ts';
import type { AgrinetError } from '../errors.ts';
import type { Following } from '../feed/admission.ts';
import type { Clock } from '../feed/clock.ts';
import type { Checkpoint } from '../feed/checkpoint.ts';
import type { Entry } from '../feed/entry.ts';
import type { FeedState } from '../feed/feed.ts';
import type { Gap } from '../feed/gap.ts';
import type { Quota, Usage } from '../feed/quota.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Merges } from '../open-dialog/merger.ts';
import type { RecordState } from '../open-dialog/record.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { Draft, Writer } from './drafts.ts';
import type { FeedLook } from './forgetting.ts';
import type { LedgerStore, RecordChange } from './ports.ts';
import type { ReadEntry } from './read-entry.ts';

/** A local write: the records it reads, and what it drafts once they are loaded. If it throws, only this write is refused. */
export interface WriteRequest {
  readonly keys: readonly RecordKey[];
  draft(writer: Writer, read: (key: RecordKey) => RecordState | undefined): readonly Draft[];
}

/** A write that is on disk: the records in their state before and after, in the order of the drafts. */
export interface Written {
  readonly records: readonly {
    readonly key: RecordKey;
    readonly before: RecordState | undefined;
    readonly after: RecordState | undefined;
    readonly changed: boolean;
  }[];
}

/** All epochs of one author in one channel. */
export interface FeedName {
  readonly author: PeerId;
  readonly channel: Channel;
}

/** The outcome for one received entry. */
export interface Received {
  readonly kind: 'accept' | 'known' | 'ignore' | 'reject' | 'gap' | 'fork';
  readonly code?: ErrorCode;
  readonly entry?: Entry;
}

/** Told after each commit, in order. */
export interface Committed {
  readonly entries: readonly Entry[];
  readonly local: boolean;
  readonly changes: readonly RecordChange[];
  readonly proofs: readonly ForkProof[];
  /** Records of which ops were erased: whatever else repeats them has to go too. */
  readonly erased?: readonly RecordKey[];
  readonly checkpoints?: readonly Checkpoint[];
}

export type Alarm =
  | { readonly kind: 'own-key-elsewhere'; readonly epoch: string }
  /** Entries of an earlier process of this node, lost here and back from a peer. */
  | { readonly kind: 'own-entries-returned'; readonly epoch: string }
  | { readonly kind: 'own-feed-forked'; readonly epoch: string; readonly seq: number }
  | { readonly kind: 'feed-forked'; readonly author: PeerId; readonly epoch: string; readonly seq: number }
  | {
      readonly kind: 'author-over-quota';
      readonly author: PeerId;
      readonly what: keyof Quota;
      readonly usage: Usage;
    }
  | { readonly kind: 'commit-failed'; readonly code: string };

export interface LedgerParts {
  readonly identity: Identity;
  readonly net: string;
  readonly store: LedgerStore;
  readonly merges: Merges;
  /** For own writes, which must not wait behind a record of somebody else's in the same worker; otherwise `merges`. */
  readonly ownMerges?: Merges;
  readonly following: Following;
  /** The storage that an author may use here; without it there is no limit. Own feeds have none. */
  readonly quota?: (author: PeerId) => Quota;
  readonly clock: Clock;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'cpu' | 'after' | 'bytes'>;
  /** Records of no more ops than this are evaluated whole where a change comes late; otherwise `WHOLE_OPS`. */
  readonly wholeOps?: number;
  /** Whether the wall clock reads what can be; without it, it does. */
  readonly credible?: () => boolean;
  /** Why nothing may be written now (a full disk), or undefined. */
  refusal(): AgrinetError | undefined;
  onCommit(committed: Committed): void;
  onAlarm(alarm: Alarm): void;
}

/**
 * The outcome for a proof. `known`: that place, or a lower one, is already forked. `ignored`: its author is not registered here.
 * `exceeded`: this author has had as many forks today as are accepted in a day; it is accepted when it arrives again tomorrow.
 */
export type ProofOutcome = 'new' | 'known' | 'ignored' | 'exceeded';

/**
 * The only entry point: local writes and entries of others share the same effects and the same commit. Nothing in it blocks the
 * event loop (turn.ts), and what an author causes delays that author (scheduler.ts). `from` is the peer that sent something; reading
 * it is charged to that peer.
 */
export interface Ledger {
  /** Resolves when the write is on disk. Writes that wait together share one entry, one signature and one fsync. */
  write(request: WriteRequest): Promise<Written>;
  /**
   * Admits entries in the order given, with one commit for all admitted entries of an author and channel. `only` rejects those of
   * another author (`not-asked-for`) or channel (`channel-private` without an author). What follows the first rejected one is not
   * processed (`behind-rejected`). What was read on another thread is not read again.
   */
  receive(
    entries: readonly (Uint8Array | ReadEntry)[],
    only?: Partial<FeedName>,
    from?: string,
  ): Promise<Received[]>;
  /** Takes a proof of equivocation. Throws when it proves nothing. */
  receiveProof(bytes: Uint8Array, from?: string): Promise<ProofOutcome>;
  /**
   * Takes an author's word that ops of an entry are erased; that entry may then come without them. Throws what `openErasure` throws.
   */
  receiveErasure(bytes: Uint8Array, from?: string): Promise<'new' | 'ignored'>;
  /** Merges a record again whose merge is outstanding. */
  mergeAgain(key: RecordKey): Promise<void>;
  /** How much of a feed would be removed if it were forgotten, and how much kept. Throws `stopping`. */
  look(
    feed: FeedState,
    keeps: (key: RecordKey) => boolean,
    onEntry: () => void,
    signal: AbortSignal,
  ): Promise<FeedLook>;
  /** Removes what is not kept of a feed that is noted as forgotten. Throws `stopping`; it may be interrupted and called again. */
  sweep(gap: Gap, onEntry: () => void, signal: AbortSignal): Promise<void>;
  /** After all of an author's feeds: evaluates again the ops in channels whose creation was removed. */
  refound(gap: Gap): Promise<void>;
  /** Has a checkpoint of this owner take effect whose floors are all stored; resolves when it has. */
  raise(owner: PeerId): Promise<void>;
  /** The epoch that this process writes in. */
  epoch(): string;
  /** Runs work between two commits, with none under way: what it changes in the store no commit has read before. */
  alone(work: () => Promise<void>): Promise<void>;
  /** Resolves when all that was queued is done. */
  drain(): Promise<void>;
  /** From now on all that is asked for rejects with `stopping`; resolves when what had begun is done, and nothing touches the store any more. */
  stop(): Promise<void>;
}
