import type { CheckpointStatement } from '../feed/checkpoint.ts';

/** The lists of a snapshot, by their number on the wire: covers and records, and the entries that stay as evidence. Each has its own root. */
export const SNAPSHOT_LISTS = ['records', 'evidence'] as const;

export type SnapshotList = (typeof SNAPSHOT_LISTS)[number];

/** The root that a statement gives of a list, hex. */
export function listRoot(
  { chunks, evidence }: Pick<CheckpointStatement, 'chunks' | 'evidence'>,
  list: SnapshotList,
): string {
  return list === 'records' ? chunks : evidence.root;
}

/**
 * The least that chunks of one list have, each and but for the last: one that has all the items that it may is longer, and one that is full
 * is, together with the next, eight times as long.
 */
const LEAST_BYTES = 32_768;

/** How many chunks a list can have of a snapshot of so many bytes. */
export function mostChunks({ bytes }: Pick<CheckpointStatement, 'bytes'>): number {
  return Math.floor(bytes / LEAST_BYTES) + 1;
}
