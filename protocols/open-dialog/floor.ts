import type { HlcTime } from '../feed/clock.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';
import { genesisOf } from './genesis.ts';
import type { Collection } from './schema.ts';

/**
 * Where the history of a public record begins for everybody who evaluates it above a checkpoint: what the ops that the checkpoint covers
 * amount to. Changes below it have no effect of their own any more, held or not. A record without one begins at the genesis.
 */
export type Floor = DocumentFloor | FactFloor | EndedFloor;

/** Earliest and latest of what is applied below a floor, by the clocks of the authors. */
interface Floored {
  readonly key: RecordKey;
  readonly created: HlcTime;
  readonly updated: HlcTime;
  /** When its checkpoint arrived here, see `Entry`: this node's lists take none of its times for later. Of no effect on anything else. */
  readonly arrived?: number;
}

export interface DocumentFloor extends Floored {
  readonly kind: 'document';
  /** Hashes of all heads, ascending: at most `HOT.heads`, because only of so few their op counters need not be known to tell which are shown. */
  readonly heads: readonly string[];
  readonly maxOp: number;
  /** All visible values, field by field, the winner first; of one field at most one of each actor. */
  readonly values: readonly FloorValue[];
}

/** A `set` that no covered change has replaced. */
export interface FloorValue {
  readonly field: string;
  readonly counter: number;
  readonly actor: string;
  readonly value: Scalar;
}

/** A fact as its author signed it: the payload of its op. */
export interface FactFloor extends Floored {
  readonly kind: 'fact';
  readonly d: Uint8Array;
}

/** A record that a tombstone or an erasure has ended: nothing of it can be changed, so nothing but its end is kept. */
export interface EndedFloor extends Floored {
  readonly kind: 'ended';
  readonly tombstone: boolean;
  readonly erased: boolean;
}

/** What the first changes of a history follow: all of these heads together. */
export interface Ground {
  readonly heads: readonly string[];
  readonly maxOp: number;
  readonly values: readonly FloorValue[];
  /** Upon the genesis an actor begins with the sequence 1; upon a floor with any, because what it has written below it is not known. */
  readonly isGenesis: boolean;
}

export function groundOf(collection: Collection | undefined, floor: Floor | undefined): Ground {
  if (floor?.kind === 'document') return { ...floor, isGenesis: false };
  if (collection?.kind !== 'document') return { heads: [], maxOp: 0, values: [], isGenesis: true };
  const { hash, maxOp } = genesisOf(collection);
  return { heads: [hash], maxOp, values: [], isGenesis: true };
}
