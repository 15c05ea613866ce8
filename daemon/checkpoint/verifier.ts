import type { AuthorCheckpoint } from '../../api/ports/checkpoints.ts';
import { expandCovers } from '../../protocols/checkpoint/covers.ts';
import { checkUndoubted } from '../../protocols/checkpoint/doubt.ts';
import { incomplete, makeSnapshot, type SnapshotHow } from '../../protocols/checkpoint/make-snapshot.ts';
import type { SnapshotSums } from '../../protocols/checkpoint/snapshot.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type FrontierItem, isWhole } from '../../protocols/feed/frontier.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { fullKey } from '../../storage/keyspace.ts';
import type { Store } from '../../storage/store.ts';
import { putJson, soundJson } from '../../storage/values.ts';

/** What came of the verification of an author's checkpoint. */
export interface Verification {
  readonly id: string;
  readonly outcome: 'true' | 'false' | 'incomplete';
  readonly why?: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface VerifierParts {
  readonly store: Store;
  readonly db: Pick<Database, 'level' | 'batch'>;
  /** Whether ops of an author wait for an upgrade here. */
  readonly waitsForUpgrade: (author: PeerId) => Promise<boolean>;
  readonly now: () => number;
}

const noteKey = (author: PeerId): string => fullKey('meta', `checkpoint ${author}`);

/** What was found of an author's checkpoint, by this process or an earlier one. */
export async function notedVerification(
  { level }: Pick<Database, 'level'>,
  author: PeerId,
): Promise<Verification | undefined> {
  const key = noteKey(author);
  return soundJson<Verification>(key, await level.get(key)); // damaged: it is verified again
}

/** Whether this very checkpoint has been decided. One that could not be is tried again. */
export function isDecided(noted: Verification | undefined, { id }: Pick<Checkpoint, 'id'>): boolean {
  return noted?.id === id && noted.outcome !== 'incomplete';
}

/**
 * Makes the snapshot of a checkpoint anew from the entries that are held, and compares. Nothing is decided where they, or what is stored
 * of them, may not be what its author had.
 */
export async function checkCheckpoint(
  parts: VerifierParts,
  checkpoint: Checkpoint,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<Verification> {
  const found = await compare(parts, checkpoint, how);
  const verification = { id: checkpoint.id, ...found, at: parts.now() };
  await parts.db.batch([putJson(noteKey(checkpoint.author), verification)], false);
  return verification;
}

type Found = Pick<AuthorCheckpoint, 'why'> & Pick<Verification, 'outcome'>;

async function compare(
  parts: VerifierParts,
  checkpoint: Checkpoint,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<Found> {
  try {
    return await judge(parts, checkpoint, how);
  } catch (error) {
    if (!(error instanceof AgrinetError)) throw error;
    if (error.code === 'checkpoint-incomplete') return { outcome: 'incomplete', why: error.message };
    if (error.code !== 'value-damaged') throw error;
    return { outcome: 'incomplete', why: 'stored rows are damaged here; run: agrinet doctor' };
  }
}

/**
 * It is false only if it differs twice, the second time from the ops alone, and if nothing before and after that speaks for a view that
 * honestly differs. Throws `checkpoint-incomplete`.
 */
async function judge(
  { store, waitsForUpgrade }: VerifierParts,
  checkpoint: Checkpoint,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<Found> {
  const { author } = checkpoint;
  if (checkpoint.upon !== store.floors.mark(author).now?.id)
    throw incomplete('it is upon another one, which is not in effect here');
  const feeds = store.feeds(author, 'public');
  const { covers, missing } = expandCovers(checkpoint.covers, feeds);
  if (missing.length > 0 || !isWhole(feeds))
    throw incomplete('not all entries of its author are held here yet');
  if (await waitsForUpgrade(author)) throw incomplete('entries of its author need a newer agrinetd here');
  const shown = { ...how, isChecked: false };
  if ((await difference(store, checkpoint, covers, shown)) === undefined) return { outcome: 'true' };
  await checkUndoubted(store, author, covers, how);
  const why = await difference(store, checkpoint, covers, { ...shown, isFromOps: true });
  if (why === undefined) return { outcome: 'true' };
  await checkUndoubted(store, author, covers, how);
  return { outcome: 'false', why };
}

/** In what the snapshot of the entries held differs from a checkpoint. */
async function difference(
  store: Store,
  checkpoint: Checkpoint,
  covers: readonly FrontierItem[],
  how: SnapshotHow,
): Promise<string | undefined> {
  try {
    return differenceOf(checkpoint, await makeSnapshot(store, checkpoint.author, covers, how));
  } catch (error) {
    if (error instanceof AgrinetError && error.code === 'checkpoint-refused') return error.message;
    throw error;
  }
}

/** In what a checkpoint differs from the sums of a snapshot. */
export function differenceOf(checkpoint: Checkpoint, sums: SnapshotSums): string | undefined {
  const differs = (['chunks', 'digest', 'count', 'bytes'] as const).filter(
    (sum) => sums[sum] !== checkpoint[sum],
  );
  const { count, root } = checkpoint.evidence;
  const isEqual = differs.length === 0 && sums.evidence.count === count && sums.evidence.root === root;
  return isEqual ? undefined : `${differs.join(', ') || 'evidence'} differ from what its entries give`;
}
