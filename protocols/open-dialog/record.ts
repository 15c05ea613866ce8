import type { HlcTime } from '../feed/clock.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';

/** Where an op stands: the entry that carries it and its index there. */
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
}

/** What an op amounts to: a pure function of the admitted ops of its record. */
export type Verdict =
  | { readonly state: 'counts' }
  | { readonly state: 'waits'; readonly code: string; readonly lacks: string }
  | { readonly state: 'void'; readonly code: string };

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
  /** 16 bytes, hex; what a record's id is bound to beside its members (see market/contract-book/binding.ts). */
  readonly nonce?: string;
}

/**
 * Everything kept of one record between ops: its view and, for documents, what the fast road needs to go on without
 * opening an Automerge document. A cache: it can be rebuilt from the feeds.
 */
export interface RecordState {
  readonly key: RecordKey;
  readonly channel: Channel;
  /** Hashes of the counting changes that no other counting change depends on, sorted; a fact's own hash. */
  readonly heads: readonly string[];
  /** The winning values, own keys only. */
  readonly view: Readonly<Record<string, Scalar>>;
  /** Visible op ids of each field, the winner first. */
  readonly fieldOps: Readonly<Record<string, readonly string[]>>;
  /** All values of the fields with more than one visible op, the winner first. */
  readonly conflicts: Readonly<Record<string, readonly FieldValue[]>>;
  /** Last counting sequence of each actor. */
  readonly seqs: Readonly<Record<string, number>>;
  readonly maxOp: number;
  readonly created: HlcTime;
  readonly updated: HlcTime;
  readonly tombstone: boolean;
  /** Counting creation op or change: without it there is nothing to show. */
  readonly exists: boolean;
  readonly waiting: number;
  readonly ops: number;
  readonly members?: Membership;
}

/** True when the record stands in views, exports and lists. */
export function isLive(state: RecordState | undefined): state is RecordState {
  return state !== undefined && state.exists && !state.tombstone;
}
