import { LRUCache } from 'lru-cache';
import { type Chunk, ChunkWriter, entryItem, rootOf } from '../../protocols/checkpoint/chunk.ts';
import { evidenceEntry } from '../../protocols/checkpoint/snapshot.ts';
import type { SnapshotList } from '../../protocols/checkpoint/snapshot-list.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import type { Env } from '../../protocols/env.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import { atMost } from '../../protocols/lru-bound.ts';
import type { ServedList } from '../../protocols/mycelium/snapshot-answer.ts';
import { fromHex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { type EvidencePlace, FloorChunks } from '../../storage/floor-chunks.ts';
import type { Store } from '../../storage/store.ts';

export interface FloorSnapshotsParts {
  readonly store: Pick<Store, 'floors' | 'feed' | 'entry'>;
  readonly db: Pick<Database, 'level'>;
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
}

/** Checkpoints of which it is kept where the chunks of their evidence begin. */
const KEPT = 8;

/** A chunk of evidence: its hash, hex, and the entry with which it begins. */
interface EvidenceChunk {
  readonly hash: string;
  readonly from: EvidencePlace;
}

/** Snapshots of the checkpoints in effect, cut anew from what is stored of them: the floors of records and the entries that stay. */
export class FloorSnapshots {
  readonly #parts: FloorSnapshotsParts;
  readonly #evidence = new LRUCache<string, Promise<readonly EvidenceChunk[]>>(atMost(KEPT));

  constructor(parts: FloorSnapshotsParts) {
    this.#parts = parts;
  }

  /** Undefined for a checkpoint that is not in effect here. */
  async open(checkpoint: Checkpoint, list: SnapshotList): Promise<ServedList | undefined> {
    const { store, db, env } = this.#parts;
    const { author, id } = checkpoint;
    const { now } = store.floors.mark(author);
    if (now?.id !== id) return undefined;
    const floors = new FloorChunks(db, author, now);
    const turn = soleTurn(env);
    if (list === 'evidence') return this.#evidenceList(checkpoint, floors, turn);
    return {
      async *hashes() {
        for await (const hash of floors.hashes()) yield fromHex(hash);
      },
      chunks: (first, last) => inTurns(floors.chunks(first, last), turn),
    };
  }

  /** Undefined where the entries that are held give another root. */
  async #evidenceList(
    { author, id, evidence }: Checkpoint,
    floors: FloorChunks,
    turn: Turn,
  ): Promise<ServedList | undefined> {
    const cut = (from?: EvidencePlace): AsyncGenerator<CutChunk> =>
      this.#cut(author, floors.evidence(from), turn);
    const known = await this.#evidenceChunks(id, cut);
    const hashes = known.map(({ hash }) => fromHex(hash));
    if (rootOf(hashes) !== evidence.root) return undefined;
    return {
      async *hashes() {
        yield* hashes;
      },
      async *chunks(first, last) {
        let number = first;
        if (known[first] === undefined) return;
        for await (const { chunk } of cut(known[first].from)) {
          if (chunk.hash !== known[number]?.hash || number > last) return;
          yield chunk.bytes;
          number++;
        }
      },
    };
  }

  /** Looked for once: these chunks have no rows of their own. */
  #evidenceChunks(id: string, cut: () => AsyncIterable<CutChunk>): Promise<readonly EvidenceChunk[]> {
    const known = this.#evidence.get(id);
    if (known !== undefined) return known;
    const found = Array.fromAsync(cut(), ({ chunk, from }): EvidenceChunk => ({ hash: chunk.hash, from }));
    this.#evidence.set(id, found);
    found.catch(() => this.#evidence.delete(id));
    return found;
  }

  /** Chunks of these entries, the first of which begins one. */
  async *#cut(author: PeerId, places: AsyncIterable<EvidencePlace>, turn: Turn): AsyncGenerator<CutChunk> {
    const writer = new ChunkWriter();
    let from: EvidencePlace | undefined;
    for await (const place of places) {
      const entry = await this.#entry(author, place);
      if (entry === undefined) return; // it is not what was signed any more
      const chunk = writer.add(entryItem(evidenceEntry(entry, new Set(place.indexes))));
      if (chunk !== undefined && from !== undefined) yield { chunk, from };
      if (chunk !== undefined || from === undefined) from = place;
      if (turn.isOver()) await turn.next();
    }
    const last = writer.end();
    if (last !== undefined && from !== undefined) yield { chunk: last, from };
  }

  async #entry(author: PeerId, { epoch, seq }: EvidencePlace): Promise<Entry | undefined> {
    const { store } = this.#parts;
    const feed = store.feed(author, 'public', epoch);
    return feed && store.entry(feed.no, seq);
  }
}

interface CutChunk {
  readonly chunk: Chunk;
  readonly from: EvidencePlace;
}

async function* inTurns<T>(source: AsyncIterable<T>, turn: Turn): AsyncGenerator<T> {
  for await (const each of source) {
    yield each;
    if (turn.isOver()) await turn.next();
  }
}
