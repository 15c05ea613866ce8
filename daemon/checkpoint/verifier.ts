import type { AuthorCheckpoint } from '../../api/ports/checkpoints.ts';
import { expandCovers } from '../../protocols/checkpoint/covers.ts';
import { makeSnapshot } from '../../protocols/checkpoint/make-snapshot.ts';
import type { Checkpoint } from '../../protocols/checkpoint/statement.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { isWhole } from '../../protocols/feed/frontier.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { fullKey } from '../../storage/keyspace.ts';
import type { Store } from '../../storage/store.ts';
import { putJson, verifiedJson } from '../../storage/values.ts';

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
  const value = await level.get(key);
  if (value === undefined) return undefined;
  try {
    return verifiedJson<Verification>(key, value);
  } catch {
    return undefined; // damaged: it is verified again
  }
}

/** Whether this very checkpoint has been decided. One that could not be is tried again. */
export function isDecided(noted: Verification | undefined, { id }: Pick<Checkpoint, 'id'>): boolean {
  return noted?.id === id && noted.outcome !== 'incomplete';
}

/**
 * Makes the snapshot of a checkpoint anew from the entries that are held, and compares. Every entry that its author knew when it signed
 * has to be held, else nothing is told.
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

async function compare(
  { store, waitsForUpgrade }: VerifierParts,
  checkpoint: Checkpoint,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<Pick<AuthorCheckpoint, 'why'> & Pick<Verification, 'outcome'>> {
  const { author } = checkpoint;
  const incomplete = (why: string): { outcome: 'incomplete'; why: string } => ({
    outcome: 'incomplete',
    why,
  });
  const feeds = store.feeds(author, 'public');
  const { covers, missing } = expandCovers(checkpoint.covers, feeds);
  if (missing.length > 0 || !isWhole(feeds))
    return incomplete('not all entries of its author are held here yet');
  if (await waitsForUpgrade(author)) return incomplete('entries of its author need a newer agrinetd here');
  try {
    const {
      records: _,
      erasedSince,
      ...sums
    } = await makeSnapshot(store, author, covers, {
      ...how,
      isChecked: false,
    });
    const differs = (['chunks', 'digest', 'count', 'bytes'] as const).filter(
      (sum) => sums[sum] !== checkpoint[sum],
    );
    const { count, root } = checkpoint.evidence;
    const isEqual = differs.length === 0 && sums.evidence.count === count && sums.evidence.root === root;
    if (isEqual) return { outcome: 'true' };
    if (erasedSince > 0) return incomplete('records that it covers have been erased since');
    return { outcome: 'false', why: `${differs.join(', ') || 'evidence'} differ from what its entries give` };
  } catch (error) {
    if (!(error instanceof AgrinetError)) throw error;
    if (error.code === 'checkpoint-incomplete') return incomplete(error.message);
    if (error.code === 'checkpoint-refused') return { outcome: 'false', why: error.message };
    throw error;
  }
}
