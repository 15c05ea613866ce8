import type { CheckpointFigures, CheckpointOutcome } from '../../api/ports/checkpoints.ts';
import { coversAt, expandCovers } from '../../protocols/checkpoint/covers.ts';
import { makeSnapshot } from '../../protocols/checkpoint/make-snapshot.ts';
import {
  CHECKPOINT_LIMITS,
  type Checkpoint,
  type CheckpointStatement,
  readCheckpoint,
  signCheckpoint,
} from '../../protocols/feed/checkpoint.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type FrontierItem, frontierOf, sameFrontier } from '../../protocols/feed/frontier.ts';
import { draftCheckpoint } from '../../protocols/ledger/drafts.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import type { StoredFloors } from '../../storage/floor-table.ts';
import type { Store } from '../../storage/store.ts';
import { heldCheckpoints, MOST_HELD } from './held.ts';
import { laggingPlaces } from './own-places.ts';

export interface MakerParts {
  readonly identity: Identity;
  readonly net: string;
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'write'>;
  /** Resolves when this node knows what it has signed so far. Throws `rejoining`. */
  readonly awaitFence: () => Promise<void>;
  /** Whether another process writes with this node's key. */
  readonly isKeyElsewhere: () => boolean;
  /** Whether ops of this node wait for an upgrade. */
  readonly waitsForUpgrade: () => Promise<boolean>;
  /** What says that a fork or an erasure of this node's own records has come since. */
  readonly stamp: () => unknown;
  readonly now: () => number;
  readonly lagMs: number;
}

export interface HowMade {
  readonly turn: Turn;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** What is to be signed, but for its sums. */
interface Draft {
  readonly covers: readonly FrontierItem[];
  readonly frontier: readonly FrontierItem[];
  readonly next: readonly Checkpoint[];
  /** The one in effect here, above whose floors the records are evaluated. */
  readonly upon: string | undefined;
  readonly through: number;
}

/**
 * Makes checkpoints of this node's own records. A checkpoint is a promise: what it leaves out has no effect any more wherever it counts.
 * So none is signed while this node may not know all that it has written, and each record is shown to be the same above it first.
 */
export class CheckpointMaker {
  readonly #parts: MakerParts;

  constructor(parts: MakerParts) {
    this.#parts = parts;
  }

  /** What `make` would do now. */
  async plan(how: HowMade): Promise<CheckpointOutcome> {
    try {
      const made = await this.#prepare(how);
      return 'outcome' in made ? made : { outcome: 'ready', figures: made.figures };
    } catch (error) {
      if (!isExpected(error)) throw error;
      return { outcome: 'refused', why: { code: error.code, message: error.message } };
    }
  }

  /** Signs one, unless the last one covers the same. Throws `checkpoint-refused`, `rejoining`, and what the ledger throws. */
  async make(how: HowMade): Promise<CheckpointOutcome> {
    const made = await this.#prepare(how);
    if ('outcome' in made) return made;
    const { identity, ledger } = this.#parts;
    const signed = signCheckpoint(identity, made.statement);
    await ledger.write({ keys: [], draft: ({ author }) => [draftCheckpoint(author, signed)] });
    return { outcome: 'made', id: readCheckpoint(signed).id, figures: made.figures };
  }

  async #prepare(
    how: HowMade,
  ): Promise<CheckpointOutcome | { statement: CheckpointStatement; figures: CheckpointFigures }> {
    await this.#mayMake();
    const { store, identity, net, now, stamp } = this.#parts;
    const before = stamp();
    const draft = await this.#draft(how.turn);
    if ('outcome' in draft) return draft;
    const { covers, frontier, next, upon, through } = draft;
    const total = Object.keys(COLLECTIONS).reduce(
      (sum, name) => sum + (store.digests.one('public', identity.peerId, name)?.count ?? 0),
      0,
    );
    let done = 0;
    const { records, erasedSince, ...sums } = await makeSnapshot(store, identity.peerId, covers, {
      ...how,
      isChecked: true,
      onRecord: () => how.onProgress(++done, Math.max(total, done)),
    });
    if (store.floorsToCome(identity.peerId) !== undefined || this.#now()?.id !== upon)
      throw refused('another one took effect while it was being made; try again');
    if (stamp() !== before)
      throw refused('one of its records was erased, or a fork was found, while it was being made; try again');
    if (erasedSince > 0 && frontierOf(store.feeds(identity.peerId, 'public')).length > 1)
      throw refused(
        'records were erased, and its feeds have branches, so some nodes would not know of it; restart the node, which joins them',
      );
    const gen = 1 + next.reduce((most, each) => Math.max(most, each.gen), 0);
    const prev = next.map(({ id }) => id).sort();
    const statement = { net, gen, prev, upon, covers: frontier, ...sums, time: now() };
    const { count, bytes, digest } = sums;
    const entries = covers.reduce((sum, { seq }) => sum + seq, 0);
    const figures = { gen, entries, records, count, bytes, digest, through, evidence: sums.evidence.count };
    return { statement, figures };
  }

  async #mayMake(): Promise<void> {
    if (this.#parts.isKeyElsewhere())
      throw refused(
        "another process writes with this node's key: stop it, then run `agrinet alarms --clear`",
      );
    if (await this.#parts.waitsForUpgrade())
      throw refused('entries of this node need a newer agrinetd: upgrade it first');
    await this.#parts.awaitFence();
  }

  async #draft(turn: Turn): Promise<Draft | CheckpointOutcome> {
    const { store, identity, net, lagMs } = this.#parts;
    const feeds = store.feeds(identity.peerId, 'public');
    const { effective, next, tooMany } = await heldCheckpoints(store, identity.peerId, net, turn);
    if (tooMany) throw refused(`this node has signed more than ${MOST_HELD} of them`);
    const { places, through } = await laggingPlaces(store, feeds, lagMs);
    if (store.floorsToCome(identity.peerId) !== undefined)
      throw refused('one is taking effect; try again in a moment');
    const now = this.#now();
    const before = next.map((each) => expandCovers(each.covers, feeds).covers);
    const { covers, frontier } = coversAt(raised(places, [...before, now?.covers ?? []]), feeds);
    if (covers.every(({ seq }) => seq === 0)) return { outcome: 'nothing' };
    if (effective?.contested === false && sameFrontier(frontier, effective.checkpoint.covers))
      return { outcome: 'unchanged', id: effective.checkpoint.id };
    if (frontier.length > CHECKPOINT_LIMITS.covers)
      throw refused(
        `its feeds have more than ${CHECKPOINT_LIMITS.covers} branches; restart the node, which joins them`,
      );
    return { covers, frontier, next, upon: now?.id, through };
  }

  #now(): StoredFloors | undefined {
    return this.#parts.store.floors.mark(this.#parts.identity.peerId).now;
  }
}

/** Why no checkpoint can be made now, as opposed to a fault: a plan tells it. */
export function isExpected(error: unknown): error is AgrinetError {
  return error instanceof AgrinetError && EXPECTED.has(error.code);
}

const EXPECTED: ReadonlySet<string> = new Set(['checkpoint-refused', 'checkpoint-incomplete', 'rejoining']);

/** No checkpoint covers less than those that it takes the place of, and than the one that it is upon. */
function raised(
  places: ReadonlyMap<string, { readonly seq: number; readonly hash: string }>,
  before: readonly (readonly FrontierItem[])[],
): Map<string, { readonly seq: number; readonly hash: string }> {
  const all = new Map(places);
  for (const { epoch, seq, hash } of before.flat())
    if (seq > (all.get(epoch)?.seq ?? 0)) all.set(epoch, { seq, hash });
  return all;
}

function refused(why: string): AgrinetError {
  return new AgrinetError('checkpoint-refused', `no checkpoint can be made now: ${why}`);
}
