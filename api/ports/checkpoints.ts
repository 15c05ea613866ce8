import type { SnapshotAnswers } from '../../protocols/mycelium/snapshot-answer.ts';

/** What a checkpoint would cover, or covers. */
export interface CheckpointFigures {
  readonly gen: number;
  /** Covered entries. */
  readonly entries: number;
  /** Covered records, and those of them that exist or have a tombstone. */
  readonly records: number;
  readonly count: number;
  /** Of the snapshot. */
  readonly bytes: number;
  /** Entries that stay as evidence. */
  readonly evidence: number;
  readonly digest: string;
  /** The newest covered entry was signed then, milliseconds since 1970. */
  readonly through: number;
}

/**
 * `made`; `ready`: it would be; `unchanged`: the last one covers the same; `nothing`: no entry is old enough; `refused`: see `why`.
 */
export interface CheckpointOutcome {
  readonly outcome: 'made' | 'ready' | 'unchanged' | 'nothing' | 'refused';
  readonly id?: string;
  readonly figures?: CheckpointFigures;
  readonly why?: { readonly code: string; readonly message: string };
}

/** How the effective checkpoint of an author stands. Times in milliseconds since 1970. */
export interface AuthorCheckpoint {
  readonly author: string;
  readonly id: string;
  readonly gen: number;
  readonly time: number;
  readonly count: number;
  readonly bytes: number;
  readonly contested: boolean;
  /** Undefined before it was verified; `own` ones are made here. */
  readonly verified: 'own' | 'true' | 'false' | 'incomplete' | undefined;
  readonly why?: string;
}

/** Checkpoints as the operator sees them. */
export interface CheckpointsPort {
  status(): Promise<{
    readonly everyDays: number;
    readonly checkpoints: readonly AuthorCheckpoint[];
  }>;
  /** What a checkpoint made now would cover, or why none can be made. */
  plan(onProgress: (done: number, total: number) => void): Promise<CheckpointOutcome>;
  /** Makes one now. Throws `checkpoint-refused`, `rejoining`, and what the ledger throws. */
  make(onProgress: (done: number, total: number) => void): Promise<CheckpointOutcome>;
}

/** What this node serves of the snapshots of checkpoints. */
export type SnapshotsPort = Pick<SnapshotAnswers, 'frames'>;
