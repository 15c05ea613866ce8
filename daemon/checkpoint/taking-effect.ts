import { expandCovers } from '../../protocols/checkpoint/covers.ts';
import { checkUndoubted } from '../../protocols/checkpoint/doubt.ts';
import { incomplete, makeSnapshot } from '../../protocols/checkpoint/make-snapshot.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { nextCheckpoint } from '../../protocols/checkpoint/succession.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type FrontierItem, isWhole } from '../../protocols/feed/frontier.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { FloorStaging } from '../../storage/floor-staging.ts';
import type { CheckpointPlace } from '../../storage/stored-feeds.ts';
import type { Store } from '../../storage/store.ts';
import { checkpointLinks } from './held.ts';
import { differenceOf } from './verifier.ts';

export interface TakingEffectParts {
  readonly net: string;
  readonly store: Store;
  readonly db: Pick<Database, 'batch'>;
  readonly ledger: Pick<Ledger, 'raise'>;
  readonly waitsForUpgrade: (author: PeerId) => Promise<boolean>;
  /** Changes with every fork and erasure that comes of an author. */
  readonly stamp: (author: PeerId) => unknown;
  /** Of this node's own: contested ones have effect, up to the next, which joins them. */
  readonly joins: boolean;
}

/** How far an author's checkpoints are in effect, and why no further. */
export interface TakenEffect {
  readonly outcome: 'done' | 'none' | 'contested' | 'elsewhere' | 'differs' | 'incomplete';
  /** Those that took effect. */
  readonly ids: readonly string[];
  readonly why?: string;
  /** The one that differs. */
  readonly checkpoint?: Checkpoint;
}

/**
 * Has an author's checkpoints take effect that are what the entries held give, one upon another up to the effective one. What is stored
 * of one is compared with what it says before anything begins there.
 */
export async function takeEffect(
  parts: TakingEffectParts,
  author: PeerId,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<TakenEffect> {
  const { store, ledger, net } = parts;
  const ids: string[] = [];
  for (;;) {
    if (store.floorsToCome(author) !== undefined) await ledger.raise(author);
    const { now, next: left } = store.floors.mark(author);
    if (left?.stage === 'applying') return { outcome: 'incomplete', ids, why: 'one is taking effect' };
    const held = await checkpointLinks(store, author, net, how.turn);
    if (held === undefined) return { outcome: 'incomplete', ids, why: 'it has signed too many' };
    const links = [...held.values()];
    const next = nextCheckpoint(links, now?.id, parts);
    if (
      next.kind === 'elsewhere' &&
      now !== undefined &&
      nextCheckpoint(links, undefined, parts).kind === 'next'
    ) {
      await store.floors.lower(author);
      continue;
    }
    if (next.kind !== 'next') return { outcome: ids.length > 0 ? 'done' : next.kind, ids };
    try {
      const { at } = next.checkpoint;
      const why = await staged(parts, author, at, how);
      const checkpoint = why === undefined ? undefined : await store.checkpointAt(author, at);
      if (why !== undefined)
        return { outcome: 'differs', ids, why, ...(checkpoint === undefined ? {} : { checkpoint }) };
    } catch (error) {
      if (!(error instanceof AgrinetError) || !UNDECIDED.has(error.code)) throw error;
      return { outcome: 'incomplete', ids, why: error.message };
    }
    await ledger.raise(author);
    if (store.floors.mark(author).now?.id !== next.checkpoint.id)
      return { outcome: 'incomplete', ids, why: 'it has not taken effect' };
    await store.floors.clean(author);
    ids.push(next.checkpoint.id);
  }
}

const UNDECIDED: ReadonlySet<string> = new Set(['checkpoint-incomplete', 'value-damaged']);

/** Stores the floors of a checkpoint; why it is not what the entries held give, if it is not. Throws `checkpoint-incomplete`. */
async function staged(
  { store, db, waitsForUpgrade, stamp }: TakingEffectParts,
  author: PeerId,
  at: CheckpointPlace,
  how: { readonly turn: Turn; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const before = stamp(author);
  const checkpoint = await store.checkpointAt(author, at);
  if (checkpoint === undefined) throw incomplete('it is not held here any more');
  const feeds = store.feeds(author, 'public');
  const { covers, missing } = expandCovers(checkpoint.covers, feeds);
  if (missing.length > 0 || !isWhole(feeds))
    throw incomplete('not all entries of its author are held here yet');
  if (await waitsForUpgrade(author)) throw incomplete('entries of its author need a newer agrinetd here');
  if (lowers(covers, store.floors.mark(author).now?.covers)) return 'it covers less than the one before it';
  const arrived = await arrivalOf(store, author, at);
  const staging = await FloorStaging.begin(db, store.floors, checkpoint, covers, arrived);
  try {
    const why = differenceOf(
      checkpoint,
      await makeSnapshot(store, author, covers, {
        ...how,
        isChecked: false,
        onFloor: (key, items) => staging.add(key, items),
        onEvidence: (...entry) => staging.keep(...entry),
      }),
    );
    if (why !== undefined) {
      await staging.drop();
      // A view that honestly differs tells nothing of it.
      await checkUndoubted(store, author, covers, how);
      return why;
    }
    // What was read before may say what has been erased since.
    if (stamp(author) !== before) throw incomplete('a fork or an erasure came meanwhile');
    return (await staging.end()) ? undefined : 'its chunks differ from what its entries give';
  } catch (error) {
    await staging.drop();
    if (error instanceof AgrinetError && error.code === 'checkpoint-refused') return error.message;
    throw error;
  }
}

function lowers(covers: readonly FrontierItem[], before: readonly FrontierItem[] = []): boolean {
  const seqs = new Map(covers.map(({ epoch, seq }) => [epoch, seq]));
  return before.some(({ epoch, seq }) => seq > (seqs.get(epoch) ?? 0));
}

async function arrivalOf(
  store: Store,
  author: PeerId,
  { epoch, seq }: CheckpointPlace,
): Promise<number | undefined> {
  const no = store.feed(author, 'public', epoch)?.no;
  return no === undefined ? undefined : (await store.entry(no, seq))?.arrived;
}
