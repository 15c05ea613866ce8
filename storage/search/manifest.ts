import type { Database } from '../database.ts';
import { type BatchOp, fullKey } from '../keyspace.ts';
import { putJson, soundJson } from '../values.ts';
import type { SegmentHead } from './segment.ts';

/** The version of word folding and row format: with another number, an older index is rebuilt. */
const FORM = 2;

/** Which segments exist, and up to which change the index goes. */
export interface Manifest {
  readonly form: number;
  readonly place: number;
  /** Of the next segment; a number is never used again. */
  readonly next: number;
  readonly segments: readonly SegmentHead[];
}

export const MANIFEST = fullKey('search', 'manifest');
export const EMPTY_INDEX: Manifest = { form: FORM, place: 0, next: 1, segments: [] };

export const manifestRow = (manifest: Manifest): BatchOp => putJson(MANIFEST, manifest);

/** Undefined where there is none, or it is damaged or of another version. */
export async function readManifest(db: Pick<Database, 'level'>): Promise<Manifest | undefined> {
  const manifest = soundJson<Manifest>(MANIFEST, await db.level.get(MANIFEST));
  return manifest?.form === FORM ? manifest : undefined;
}
