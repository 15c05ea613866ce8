import type { HlcTime } from '../feed/clock.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';
import type { ActorSeq } from './hot.ts';

/** The position of an op: the entry that carries it and its index there. */
export interface OpRef {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  readonly index: number;
}

/** An op with its place and its author's time. `bytes` is the op as signed. */
export interface PlacedOp extends OpRef {
  readonly bytes: Uint8Array;
  readonly time: HlcTime;
  /** When its entry arrived here, see `Entry`; without it that is not known. */
  readonly arrived?: number;
}

/** The verdict on an op: a pure function of the admitted ops of its record. */
export type Verdict =
  | { readonly state: 'applied' }
  | { readonly state: 'pending'; readonly code: string; readonly missing: string }
  | { readonly state: 'rejected'; readonly code: string };

/** Earliest and latest of what counts of a record, none of them later than its arrival allows. */
export interface ListedTimes {
  readonly created: HlcTime;
  readonly updated: HlcTime;
}

/** A value that lost to a concurrent write, or the winner among several: `op` is `counter@actor`. */
export interface FieldValue {
  readonly value: Scalar;
  readonly op: string;
}

/** The fields of a private record's creation. */
export interface Membership {
  readonly owner: PeerId;
  readonly writers: readonly PeerId[];
  readonly participants: readonly PeerId[];
  /** 16 bytes, hex; what a record's id is bound to besides its members (see market/contract-book/binding.ts). */
  readonly nonce?: string;
}

/**
 * Everything kept of one record between ops: its view and, for documents, what the fast path needs to continue without opening an
 * Automerge document. A cache: it can be rebuilt from the feeds.
 */
export interface RecordState {
  readonly key: RecordKey;
  readonly channel: Channel;
  /** Hashes of the counting changes that no other counting change depends on, sorted, at most `HOT.heads`; a fact's own hash. */
  readonly heads: readonly string[];
  /** The winning values, own keys only. */
  readonly view: Readonly<Record<string, Scalar>>;
  /** Visible op ids of each field, the winner first; at most `HOT.values`. */
  readonly fieldOps: Readonly<Record<string, readonly string[]>>;
  /** The values of the fields with more than one visible op, the winner first, as many as `fieldOps` has. */
  readonly conflicts: Readonly<Record<string, readonly FieldValue[]>>;
  /** Of the actors that wrote last: sequence and last op counter of their newest counting change. */
  readonly seqs: Readonly<Record<string, ActorSeq>>;
  readonly maxOp: number;
  /** By the clocks of the authors: the earliest and the latest of what counts. */
  readonly created: HlcTime;
  readonly updated: HlcTime;
  /** The times that lists of this node order by, where they are not those: see `listedTime`. Nothing else may depend on them. */
  readonly listed?: ListedTimes;
  readonly tombstone: boolean;
  /** An erasure has ended it: of its ops only tombstones and erasures have effect. */
  readonly erased?: true;
  /** Its history begins at a checkpoint's floor, where an actor's first sequence is free; or it ended below that. */
  readonly floored?: 'open' | 'ended';
  /** Counting creation op or change: without it there is nothing to show. */
  readonly exists: boolean;
  readonly pending: number;
  readonly ops: number;
  readonly members?: Membership;
  /** What the record has beyond this state. */
  readonly rest?: RecordRest;
  /** Its values are still those of before: Automerge has not merged it yet, and why. All else is as it is to be. */
  readonly unmerged?: Unmerged;
}

/** Why a merge is outstanding: it has no answer yet; it took too long; its worker failed. The last two are tried again. */
export type Unmerged = 'in-progress' | 'deadline' | 'failed';

/** The values of a document, as a state has them; `more` is how many further visible values a field has, see `HOT`. */
export interface Values extends Pick<RecordState, 'view' | 'fieldOps' | 'conflicts'> {
  readonly more: Readonly<Record<string, number>>;
}

/** How much of a record is beyond its state, see `HOT`; anything not named is complete. */
export interface RecordRest {
  /** Further heads, and SHA-256 of them sorted and joined by commas. */
  readonly heads?: { readonly count: number; readonly hash: string };
  /** Further actors. */
  readonly actors?: number;
  /** Further visible values of a field. */
  readonly values?: Readonly<Record<string, number>>;
}

/**
 * What a change is drafted on where the state does not hold enough: some heads, what is visible in their past, the actor's sequence.
 */
export interface DraftBase {
  readonly actor: string;
  readonly heads: readonly string[];
  readonly fieldOps: Readonly<Record<string, readonly string[]>>;
  readonly seq: number;
}

/** A state while a commit changes it in place: what an op costs does not depend on what the record holds. */
export type OpenState = Writable<Omit<RecordState, 'view' | 'fieldOps' | 'conflicts' | 'seqs'>> & {
  view: Record<string, Scalar>;
  fieldOps: Record<string, readonly string[]>;
  conflicts: Record<string, readonly FieldValue[]>;
  seqs: Record<string, ActorSeq>;
  /** For one draft within this commit; never stored. */
  base?: DraftBase;
};

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function tableOf<T>(table: Readonly<Record<string, T>>): Record<string, T> {
  return Object.assign(Object.create(null) as Record<string, T>, table);
}

/** A copy to be changed; once a commit for each record. */
export function openState(state: RecordState): OpenState {
  return {
    ...state,
    view: tableOf(state.view),
    fieldOps: tableOf(state.fieldOps),
    conflicts: tableOf(state.conflicts),
    seqs: tableOf(state.seqs),
  };
}

/** What unmerged records are missing: the merge is requested again until it is there. */
export const MERGE = 'merge';

/** What a change misses that follows some heads of a floor and not all: no further change can let it be applied, but another checkpoint may. */
export const CHECKPOINT = 'checkpoint';

/** What channels wait for whose creation has come or gone: their facts are evaluated again. */
export const TURNED = 'turned';

/** True when the record appears in views, exports and lists. */
export function isLive(state: RecordState | undefined): state is RecordState {
  return state !== undefined && state.exists && !state.tombstone;
}
