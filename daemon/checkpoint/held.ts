import { type Effective, effectiveCheckpoint } from '../../protocols/checkpoint/effective.ts';
import type { Checkpoint } from '../../protocols/checkpoint/statement.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Store } from '../../storage/store.ts';

/** The checkpoints of an author in this network that none held here has taken the place of. */
export interface HeldCheckpoints {
  readonly effective: Effective<Checkpoint> | undefined;
  readonly left: readonly Checkpoint[];
}

export async function heldCheckpoints(
  store: Pick<Store, 'checkpoints'>,
  author: PeerId,
  net: string,
): Promise<HeldCheckpoints> {
  const held = new Map<string, Checkpoint>();
  const replaced = new Set<string>();
  for await (const { checkpoint } of store.checkpoints(author)) {
    if (checkpoint.net !== net) continue;
    for (const id of checkpoint.prev) replaced.add(id);
    held.set(checkpoint.id, checkpoint);
  }
  const left = [...held.values()].filter(({ id }) => !replaced.has(id));
  return { effective: effectiveCheckpoint(held.values()), left };
}
