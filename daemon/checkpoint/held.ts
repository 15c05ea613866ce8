import { type Effective, effectiveCheckpoint } from '../../protocols/checkpoint/effective.ts';
import type { UponLink } from '../../protocols/checkpoint/succession.ts';
import { CHECKPOINT_LIMITS, type Checkpoint } from '../../protocols/feed/checkpoint.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Store } from '../../storage/store.ts';
import type { CheckpointPlace } from '../../storage/stored-feeds.ts';

/** Places of an author's checkpoints that are looked at: one a day for 27 years. Whoever has signed more has none in force here. */
export const MOST_HELD = 10_000;

/** What counts of an author's checkpoints in this network. */
export interface HeldCheckpoints {
  readonly effective: Effective<Checkpoint> | undefined;
  /** Those that the next one takes the place of: the one in force, and others that stand beside it, as many as a statement names. */
  readonly next: readonly Checkpoint[];
  /** There are more than are looked at. */
  readonly tooMany: boolean;
}

/** What decides between checkpoints, and where each is: with its covers one takes a hundred times as much memory. */
export interface PlacedLink extends UponLink {
  readonly at: CheckpointPlace;
}

/** Those of an author in this network; undefined where there are more than are looked at. */
export async function checkpointLinks(
  store: Pick<Store, 'checkpoints'>,
  author: PeerId,
  net: string,
  turn: Turn,
): Promise<ReadonlyMap<string, PlacedLink> | undefined> {
  const links = new Map<string, PlacedLink>();
  let places = 0;
  for await (const { checkpoint, ...at } of store.checkpoints(author)) {
    if (++places > MOST_HELD) return undefined;
    const { id, gen, prev, upon } = checkpoint;
    if (checkpoint.net === net) links.set(id, { id, gen, prev, upon, at });
    if (turn.isOver()) await turn.next();
  }
  return links;
}

export async function heldCheckpoints(
  store: Pick<Store, 'checkpoints' | 'checkpointAt'>,
  author: PeerId,
  net: string,
  turn: Turn,
): Promise<HeldCheckpoints> {
  const links = await checkpointLinks(store, author, net, turn);
  if (links === undefined) return { effective: undefined, next: [], tooMany: true };
  const found = effectiveCheckpoint(links.values());
  if (found === undefined) return { effective: undefined, next: [], tooMany: false };
  const replaced = new Set([...links.values()].flatMap(({ prev }) => prev));
  const beside = [...links.values()].filter(({ id }) => !replaced.has(id) && id !== found.checkpoint.id);
  const next: Checkpoint[] = [];
  for (const { at } of [found.checkpoint, ...beside].slice(0, CHECKPOINT_LIMITS.prev)) {
    const checkpoint = await store.checkpointAt(author, at);
    if (checkpoint !== undefined) next.push(checkpoint);
  }
  const [checkpoint] = next;
  const effective = checkpoint && { checkpoint, contested: found.contested };
  return { effective, next, tooMany: false };
}
