import type { RecordState } from '../protocols/open-dialog/record.ts';

/** A record as stored: its state and its place in this node's own change order. */
export interface StoredRecord {
  readonly state: RecordState;
  readonly change: number;
}
