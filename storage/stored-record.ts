import type { RecordState } from '../protocols/open-dialog/record.ts';

/** The place of a private record, which has none: what everybody is told of the order must not move with it. */
export const NO_CHANGE = 0;

/** A record as stored: its state and its place in this node's own order of public changes. */
export interface StoredRecord {
  readonly state: RecordState;
  readonly change: number;
}
