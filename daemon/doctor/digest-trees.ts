import { PREFIX_LIMITS, type PrefixAnswer } from '../../protocols/digest/prefix.ts';
import { PrefixTree } from '../../protocols/digest/prefix-tree.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';

export interface DigestTreeParts {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly reader: Pick<Reader, 'elements'>;
  /** Another text after every change of this owner's records in this collection. */
  readonly stamp: (owner: PeerId, collection: string) => string;
  /** Default: `PREFIX_LIMITS`. */
  readonly limits?: { readonly records: number };
}

interface KeptTree {
  readonly stamp: string;
  readonly tree: Promise<PrefixTree>;
  timer: Timer;
}

/**
 * Public records of an owner and collection as a tree of digests. Trees are made from the records on disk, not from the stored sums, so that
 * damage to either shows. One is made at a time, for all callers, and kept for the following requests.
 */
export class DigestTrees {
  readonly #parts: DigestTreeParts;
  readonly #turn: CpuTurn;
  readonly #kept = new Map<string, KeptTree>();
  readonly #queue = new SerialQueue();

  constructor(parts: DigestTreeParts) {
    this.#parts = parts;
    this.#turn = new CpuTurn(parts.env);
  }

  /** Throws `busy` and `digest-too-large`. */
  async tree(owner: PeerId, collection: string): Promise<PrefixTree> {
    const id = `${owner}|${collection}`;
    const stamp = this.#parts.stamp(owner, collection);
    const known = this.#kept.get(id);
    if (known?.stamp === stamp) {
      known.timer.cancel();
      known.timer = this.#dropLater(id);
      return known.tree;
    }
    this.#drop(id);
    const tree = this.#made(owner, collection);
    for (const oldest of [...this.#kept.keys()].slice(
      0,
      Math.max(0, this.#kept.size - PREFIX_LIMITS.trees + 1),
    ))
      this.#drop(oldest);
    this.#kept.set(id, { stamp, tree, timer: this.#dropLater(id) });
    tree.catch(() => this.#drop(id));
    return tree;
  }

  async branch(owner: PeerId, collection: string, prefix: string): Promise<PrefixAnswer> {
    return (await this.tree(owner, collection)).branch(prefix);
  }

  stop(): void {
    for (const id of this.#kept.keys()) this.#drop(id);
  }

  #made(owner: PeerId, collection: string): Promise<PrefixTree> {
    if (this.#queue.size >= PREFIX_LIMITS.waiting)
      throw new AgrinetError('busy', 'too many digest requests at once; try again shortly');
    return this.#queue.run(() => this.#read(owner, collection));
  }

  async #read(owner: PeerId, collection: string): Promise<PrefixTree> {
    const { reader, limits = PREFIX_LIMITS } = this.#parts;
    const elements: { id: string; hash: string }[] = [];
    for await (const element of reader.elements(collection, owner)) {
      await this.#turn.pause();
      elements.push(element);
      if (elements.length > limits.records)
        throw new AgrinetError(
          'digest-too-large',
          `more than ${limits.records} records of one owner and collection; run agrinet fsck on both nodes instead`,
        );
    }
    return PrefixTree.of(collection, owner, elements, this.#turn);
  }

  #drop(id: string): void {
    this.#kept.get(id)?.timer.cancel();
    this.#kept.delete(id);
  }

  #dropLater(id: string): Timer {
    return this.#parts.env.after(PREFIX_LIMITS.keptMs, () => this.#drop(id));
  }
}
