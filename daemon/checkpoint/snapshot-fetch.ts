import { type Chunk, chunkOf, decodeChunk, rootOf } from '../../protocols/checkpoint/chunk.ts';
import { listRoot, SNAPSHOT_LISTS, type SnapshotList } from '../../protocols/checkpoint/snapshot-list.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import type { Env } from '../../protocols/env.ts';
import { isSendersFault } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { soleTurn } from '../../protocols/ledger/turn.ts';
import { SLICE_LIMITS } from '../../protocols/mycelium/pull.ts';
import { askChunks, askHashes, type ChunksAsked } from '../../protocols/mycelium/snapshot-asking.ts';
import { SNAPSHOT_STREAM_LIMITS } from '../../protocols/mycelium/snapshot-request.ts';
import type { FetchedName, FetchedTable } from '../../storage/fetched-table.ts';
import { FetchedSnapshot } from './fetched-snapshot.ts';
import type { Asker, SnapshotHolders } from './snapshot-holders.ts';

export interface SnapshotFetchParts {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic' | 'offload'>;
  readonly table: FetchedTable;
  readonly holders: SnapshotHolders;
  /** Bytes that may still be kept of its author. */
  readonly room: number;
  /** Told of chunks that are here, and of all there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

const HASH_BYTES = 32;
/** An item that stands as its hash: the heads of a list and of 32 bytes. */
const ERASED_BYTES = 35;

/**
 * Fetches the snapshot of one checkpoint from whoever has it, chunk by chunk, each kept as it comes: it goes on with any holder, and after a
 * restart. What a holder sends that belongs to no list that was signed costs it its standing.
 */
export class SnapshotFetch {
  readonly #parts: SnapshotFetchParts;
  readonly #checkpoint: Checkpoint;
  readonly #signal: AbortSignal;
  readonly #hashes = new Map<SnapshotList, Uint8Array>();
  /** Who has sent evidence: of an entry nothing but the header is in its hash. */
  readonly #witnesses = new Set<string>();
  #bytes = 0;
  #done = 0;

  constructor(parts: SnapshotFetchParts, checkpoint: Checkpoint, signal: AbortSignal) {
    this.#parts = parts;
    this.#checkpoint = checkpoint;
    this.#signal = signal;
  }

  /**
   * The whole of it, verified. Throws `author-over-quota`, `snapshot-unavailable` when nobody who can be reached has it, and `checkpoint-false`
   * when what was signed is no snapshot.
   */
  async run(): Promise<FetchedSnapshot> {
    const { table, room } = this.#parts;
    const { author, id, bytes } = this.#checkpoint;
    if (bytes > room)
      throw new AgrinetError(
        'author-over-quota',
        'the snapshot is larger than what may be kept of its author; the operator can raise it: agrinet nodes set <node> --quota-mb <MiB>',
      );
    await table.begin({ author, checkpoint: id });
    for (const list of SNAPSHOT_LISTS) this.#hashes.set(list, await this.#allHashes(list));
    for (;;) {
      this.#bytes = 0;
      this.#done = 0;
      for (const list of SNAPSHOT_LISTS) await this.#allChunks(list);
      const snapshot = await this.#verified();
      if (snapshot !== undefined) return snapshot;
    }
  }

  /** Undefined where another holder's evidence has to be tried. */
  async #verified(): Promise<FetchedSnapshot | undefined> {
    const { env, table, holders } = this.#parts;
    const counts = { records: this.#count('records'), evidence: this.#count('evidence') };
    const parts = { table, checkpoint: this.#checkpoint, counts, turn: soleTurn(env), signal: this.#signal };
    const snapshot = new FetchedSnapshot(parts);
    try {
      await snapshot.verify();
    } catch (error) {
      if (!(error instanceof AgrinetError) || !isSendersFault(error.code)) throw error;
      await table.drop(this.#name('evidence'));
      if (counts.evidence > 0 && holders.without(this.#witnesses)) return undefined;
      await table.drop(this.#name('records'));
      throw new AgrinetError('checkpoint-false', `what was signed is no snapshot: ${error.message}`, {
        cause: error,
      });
    }
    holders.refuted();
    return snapshot;
  }

  async #allHashes(list: SnapshotList): Promise<Uint8Array> {
    const { table, holders } = this.#parts;
    const name = this.#name(list);
    if (listRoot(this.#checkpoint, list) === rootOf([])) return new Uint8Array(0);
    const kept = await table.hashes(name);
    if (kept !== undefined) return kept;
    let hashes = new Uint8Array(0);
    await holders.fromAny(this.#signal, async ({ ask }) => {
      hashes = new Uint8Array((await askHashes(ask, this.#checkpoint, list)) ?? hashes);
      return hashes.length > 0;
    });
    await table.keepHashes(name, hashes);
    return hashes;
  }

  /** Those that are missing, stretch by stretch. */
  async #allChunks(list: SnapshotList): Promise<void> {
    const missing = await this.#missing(list);
    for (let at = 0; at < missing.length;) {
      const [first, last] = stretch(missing, at);
      at += last - first + 1;
      const wanted = { ...this.#asked(list), first, last };
      await this.#parts.holders.fromAny(this.#signal, async (asker) => {
        await this.#chunksFrom(asker, wanted);
        return wanted.first > last;
      });
    }
  }

  /** Keeps what one holder gives, also of an answer that breaks off: what is still wanted begins behind it. */
  async #chunksFrom(asker: Asker, wanted: ChunksAsked & { first: number }): Promise<void> {
    const { env, table } = this.#parts;
    const slice = new Slice(env.monotonic, asker);
    const { list } = wanted;
    for await (const chunk of askChunks(asker.ask, { ...wanted }, env)) {
      const filled = await this.#filled(asker, { ...wanted, last: wanted.first }, chunk);
      this.#took(filled);
      if (list === 'evidence') this.#witnesses.add(asker.peer);
      await table.keepChunk(this.#name(list), wanted.first, filled.bytes);
      wanted.first++;
      asker.onProgress();
      slice.took(filled.bytes.length);
    }
  }

  /** Whoever says that an item was erased may withhold it: another holder is asked for it too. */
  async #filled(asker: Asker, asked: ChunksAsked, chunk: Chunk): Promise<Chunk> {
    if (asked.list === 'evidence' || chunk.items.every(({ bytes }) => bytes !== undefined)) return chunk;
    const other = this.#parts.holders.another(asker.peer, this.#signal);
    if (other === undefined) return chunk;
    try {
      for await (const { items } of askChunks(other.ask, asked, this.#parts.env))
        return chunkOf(chunk.items.map((item, i) => (item.bytes === undefined ? (items[i] ?? item) : item)));
    } catch (error) {
      this.#signal.throwIfAborted();
      other.onFailure(error);
    }
    return chunk;
  }

  /** No more than was signed is kept, whatever the chunks hold. */
  #took({ bytes, items }: Chunk): void {
    this.#bytes += bytes.length - ERASED_BYTES * items.filter((item) => item.bytes === undefined).length;
    if (this.#bytes > this.#checkpoint.bytes)
      throw new AgrinetError('snapshot-differs', 'snapshot: chunks of more bytes than were signed');
    this.#done++;
    this.#parts.onProgress?.(this.#done, this.#count('records') + this.#count('evidence'));
  }

  async #missing(list: SnapshotList): Promise<number[]> {
    const held = new Set<number>();
    for await (const { number, bytes } of this.#parts.table.held(this.#name(list))) {
      this.#signal.throwIfAborted();
      this.#took(decodeChunk(bytes));
      held.add(number);
    }
    return Array.from({ length: this.#count(list) }, (_, number) => number).filter((each) => !held.has(each));
  }

  #asked(list: SnapshotList): Omit<ChunksAsked, 'first' | 'last'> {
    return { checkpoint: this.#checkpoint, list, hashes: this.#hashesOf(list) };
  }

  #hashesOf(list: SnapshotList): Uint8Array {
    return this.#hashes.get(list) ?? new Uint8Array(0);
  }

  #count(list: SnapshotList): number {
    return this.#hashesOf(list).length / HASH_BYTES;
  }

  #name(list: SnapshotList): FetchedName {
    const { author, id } = this.#checkpoint;
    return { author, checkpoint: id, list };
  }
}

/** The first and last number of what can be asked for at once, from the one at this place on. */
function stretch(missing: readonly number[], at: number): [first: number, last: number] {
  const first = missing[at] ?? 0;
  let last = first;
  while (missing[at + last - first + 1] === last + 1 && last - first + 1 < SNAPSHOT_STREAM_LIMITS.chunks)
    last++;
  return [first, last];
}

/** A holder that is slow gives way to another that may be quicker. */
class Slice {
  readonly #now: () => number;
  readonly #asker: Asker;
  #since: number;
  #bytes = 0;

  constructor(now: () => number, asker: Asker) {
    this.#now = now;
    this.#asker = asker;
    this.#since = now();
  }

  took(bytes: number): void {
    this.#bytes += bytes;
    if (this.#now() - this.#since <= SLICE_LIMITS.sliceMs) return;
    if (this.#bytes < SLICE_LIMITS.sliceBytes && this.#asker.hasOthers())
      throw new AgrinetError('pull-slow', 'another holder goes on');
    this.#since = this.#now();
    this.#bytes = 0;
  }
}
