import { LRUCache } from 'lru-cache';
import { expandCovers } from '../../protocols/checkpoint/covers.ts';
import { makeSnapshot, type MadeSnapshot } from '../../protocols/checkpoint/make-snapshot.ts';
import type { OnChunk } from '../../protocols/checkpoint/snapshot.ts';
import { listRoot, SNAPSHOT_LISTS, type SnapshotList } from '../../protocols/checkpoint/snapshot-list.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { soleTurn } from '../../protocols/ledger/turn.ts';
import { atMost } from '../../protocols/lru-bound.ts';
import { type ServedList, type SnapshotSource, UNSIGNED } from '../../protocols/mycelium/snapshot-answer.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { fromHex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Store } from '../../storage/store.ts';
import type { FloorSnapshots } from './floor-snapshots.ts';
import type { HeldShortly } from './held-shortly.ts';

export interface WalkedSnapshotsParts {
  readonly store: Store;
  readonly held: HeldShortly;
  /** What is stored of those in effect. */
  readonly floors: Pick<FloorSnapshots, 'open'>;
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
}

/** Chunks that one walk gives: so many are in memory for each answer. */
const AT_ONCE = 16;
/** Walks that may wait for one another. */
const WAITING = 16;
/** Checkpoints whose hashes are kept. */
const KEPT = 8;

/** The hashes of the chunks of a checkpoint, hex; `false` where the entries held here do not give it. */
type Hashes = Readonly<Record<SnapshotList, readonly string[]>> | false;

/** Snapshots of what is stored of the checkpoints in effect, and of others made anew from the entries that are held, one walk after another, whenever somebody asks for a part. */
export class WalkedSnapshots implements SnapshotSource {
  readonly #parts: WalkedSnapshotsParts;
  readonly #queue = new SerialQueue();
  readonly #hashes = new LRUCache<string, { readonly hashes: Hashes }>(atMost(KEPT));
  readonly #stopping = new AbortController();
  /** Walks take half of a core at the most. */
  #restUntil = -Infinity;

  constructor(parts: WalkedSnapshotsParts) {
    this.#parts = parts;
  }

  async checkpoints(author: PeerId): Promise<readonly Uint8Array[]> {
    const { next } = await this.#parts.held.of(author);
    return next.map(({ signed }) => signed);
  }

  /** Of the one in force alone: nobody begins with another. */
  async open(author: PeerId, id: string, list: SnapshotList, asker: string): Promise<ServedList | undefined> {
    const { effective } = await this.#parts.held.of(author);
    if (effective?.checkpoint.id !== id) return undefined;
    const { checkpoint } = effective;
    const stored = await this.#parts.floors.open(checkpoint, list);
    if (stored !== undefined) return stored;
    // Each part of it costs a look at all records of its author: nobody has that done whom nobody knows.
    if (asker === UNSIGNED)
      throw new AgrinetError('busy', 'this snapshot is made for registered nodes alone; sign the request');
    const hashes = await this.#hashesOf(checkpoint);
    if (hashes === false) return undefined;
    const { [list]: all } = hashes;
    return {
      async *hashes() {
        for (const hash of all) yield fromHex(hash);
      },
      chunks: (first, last) => this.#chunks(checkpoint, list, first, Math.min(last, all.length - 1)),
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#queue.idle();
  }

  async #hashesOf(checkpoint: Checkpoint): Promise<Hashes> {
    const known = this.#hashes.get(checkpoint.id);
    if (known !== undefined) return known.hashes;
    const found = { records: [] as string[], evidence: [] as string[] };
    const made = await this.#walk(checkpoint, ({ hash }, list) => void found[list].push(hash));
    if (made === undefined) return false;
    const isEqual = SNAPSHOT_LISTS.every((list) => listRoot(made, list) === listRoot(checkpoint, list));
    const hashes = isEqual && made.digest === checkpoint.digest && found;
    this.#hashes.set(checkpoint.id, { hashes });
    return hashes;
  }

  async *#chunks(
    checkpoint: Checkpoint,
    list: SnapshotList,
    first: number,
    last: number,
  ): AsyncGenerator<Uint8Array> {
    const hashes = await this.#hashesOf(checkpoint);
    if (hashes === false) return;
    for (let from = first; from <= last; from += AT_ONCE) {
      const until = Math.min(last, from + AT_ONCE - 1);
      const some: Uint8Array[] = [];
      let number = 0;
      await this.#walk(checkpoint, (chunk, of) => {
        if (of !== list || number > until) return;
        // What was erased since has changed: then this node has none of it any more.
        if (number >= from && chunk.hash === hashes[list][number]) some.push(chunk.bytes);
        number++;
      });
      yield* some;
      if (some.length <= until - from) return;
    }
  }

  /** Undefined where what it covers is not all held, or shows that its author has forked. */
  #walk(checkpoint: Checkpoint, onChunk: OnChunk): Promise<MadeSnapshot | undefined> {
    const { store, env } = this.#parts;
    if (this.#queue.size >= WAITING)
      throw new AgrinetError('busy', 'too many snapshots are being made; go on in a moment');
    return this.#queue.run(async () => {
      const { author } = checkpoint;
      const { covers, missing } = expandCovers(checkpoint.covers, store.feeds(author, 'public'));
      if (missing.length > 0) return undefined;
      // Evaluated above other floors it is another one.
      if (checkpoint.upon !== store.floors.mark(author).now?.id) return undefined;
      await pause(env, Math.max(0, this.#restUntil - env.monotonic()), this.#stopping.signal);
      const turn = soleTurn(env);
      const how = { turn, isChecked: false, signal: this.#stopping.signal, onChunk };
      try {
        return await makeSnapshot(store, author, covers, how);
      } catch (error) {
        if (NOT_HELD.has(errorCode(error))) return undefined;
        throw error;
      } finally {
        this.#restUntil = env.monotonic() + turn.usedMs();
      }
    });
  }
}

const NOT_HELD: ReadonlySet<string> = new Set(['checkpoint-incomplete', 'checkpoint-refused']);
