import { branchAt, PREFIX_LIMITS, type PrefixAnswer, type PrefixRow } from '../../protocols/digest/prefix.ts';
import { sortedRows } from '../../protocols/digest/search.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';

export interface DigestTreeParts {
  readonly env: Pick<Env, 'after'>;
  readonly reader: Pick<Reader, 'elements'>;
  /** Another text after every change of this owner's records in this collection. */
  readonly stamp: (owner: PeerId, collection: string) => string;
  /** Default: `PREFIX_LIMITS`. */
  readonly limits?: { readonly records: number };
}

/** Public records of an owner and collection as a tree of digests. */
export interface DigestTrees {
  /** Throws `busy` and `digest-too-large`. */
  rows(owner: PeerId, collection: string): Promise<readonly PrefixRow[]>;
  branch(owner: PeerId, collection: string, prefix: string): Promise<PrefixAnswer>;
  stop(): void;
}

/**
 * Trees are made from the records as they stand on the disk, not from the sums that were kept beside them: so damage to either
 * shows. One is made at a time, whoever asks, and kept for the questions that follow.
 */
export function createDigestTrees({
  env,
  reader,
  stamp,
  limits = PREFIX_LIMITS,
}: DigestTreeParts): DigestTrees {
  const kept = new Map<string, { stamp: string; rows: Promise<readonly PrefixRow[]>; timer: Timer }>();
  let lane: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  async function read(owner: PeerId, collection: string): Promise<readonly PrefixRow[]> {
    const elements: { id: string; hash: string }[] = [];
    for await (const element of reader.elements(collection, owner)) {
      elements.push(element);
      if (elements.length > limits.records)
        throw new AgrinetError(
          'digest-too-large',
          `more than ${limits.records} records of one owner and collection; run agrinet fsck on both nodes instead`,
        );
    }
    return sortedRows(collection, owner, elements);
  }

  function made(owner: PeerId, collection: string): Promise<readonly PrefixRow[]> {
    if (waiting >= PREFIX_LIMITS.waiting)
      throw new AgrinetError('busy', 'too many digests are asked for at once; try again soon');
    waiting++;
    const rows = lane.then(() => read(owner, collection)).finally(() => waiting--);
    lane = rows.catch(() => undefined); // told to whoever asked
    return rows;
  }

  function drop(id: string): void {
    kept.get(id)?.timer.cancel();
    kept.delete(id);
  }

  const dropLater = (id: string): Timer => env.after(PREFIX_LIMITS.keptMs, () => drop(id));

  async function rows(owner: PeerId, collection: string): Promise<readonly PrefixRow[]> {
    const id = `${owner}|${collection}`;
    const now = stamp(owner, collection);
    const known = kept.get(id);
    if (known?.stamp === now) {
      known.timer.cancel();
      known.timer = dropLater(id);
      return known.rows;
    }
    drop(id);
    const fresh = made(owner, collection);
    for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - PREFIX_LIMITS.trees + 1)))
      drop(oldest);
    kept.set(id, {
      stamp: now,
      rows: fresh,
      timer: dropLater(id),
    });
    fresh.catch(() => drop(id));
    return fresh;
  }

  return {
    rows,
    branch: async (owner, collection, prefix) => branchAt(await rows(owner, collection), prefix),
    stop() {
      for (const id of kept.keys()) drop(id);
    },
  };
}
