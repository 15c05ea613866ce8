import { decodeEntry, type Entry } from '../feed/entry.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { placedOps } from '../ledger/placed-ops.ts';
import type { Turn } from '../ledger/turn.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { checkHeld, incomplete, type SnapshotHow, type SnapshotStore, stopping } from './make-snapshot.ts';

/** Erased ops that are remembered; of an author with more nothing is decided. */
const ERASED = 100_000;
/** Records looked at together. */
const KEYS_AT_ONCE = 64;

/**
 * Throws `checkpoint-incomplete` when an author's covered entries may give another snapshot here than they gave their author: a fork at or
 * below a covered place, ops erased without a covered erasure, entries or rows derived from them missing. Reads every covered entry.
 */
export async function checkUndoubted(
  store: SnapshotStore,
  author: PeerId,
  covers: readonly FrontierItem[],
  { turn, signal }: Pick<SnapshotHow, 'turn' | 'signal'>,
): Promise<void> {
  await checkHeld(store, author, covers);
  const seqs = new Map(covers.map(({ epoch, seq }) => [epoch, seq]));
  const feeds = store.feeds(author, 'public');
  if (feeds.some(({ epoch, fork }) => fork !== undefined && fork.seq <= (seqs.get(epoch) ?? 0)))
    throw incomplete('its author has signed two entries at a place that it covers');
  const walk = new Walk(store, turn, signal);
  for await (const placed of store.checkpoints(author)) walk.kept(placed);
  for (const { no, epoch } of feeds) await walk.feed(no, seqs.get(epoch) ?? 0);
  walk.end();
}

class Walk {
  readonly #store: SnapshotStore;
  readonly #turn: Turn;
  readonly #signal: AbortSignal;
  readonly #kept = new Set<string>();
  readonly #gone = new Set<string>();
  /** Named by covered erasures. */
  readonly #named = new Set<string>();

  constructor(store: SnapshotStore, turn: Turn, signal: AbortSignal) {
    this.#store = store;
    this.#turn = turn;
    this.#signal = signal;
  }

  /** A checkpoint that is stored. */
  kept({ epoch, seq, index }: Pick<PlacedOp, 'epoch' | 'seq' | 'index'>): void {
    this.#kept.add(nameOf(epoch, seq, index));
  }

  async feed(no: number, last: number): Promise<void> {
    let [held, prev] = [0, ''];
    for await (const bytes of this.#store.entriesFrom(no, 1, last)) {
      const entry = decodeEntry(bytes);
      const { seq, prev: before } = entry.header;
      if (seq !== ++held || (seq > 1 && before !== prev)) throw damaged();
      prev = entry.hash;
      await this.#entry(entry, no);
    }
    if (held !== last) throw damaged();
  }

  end(): void {
    for (const name of this.#gone)
      if (!this.#named.has(name)) throw incomplete('records that it covers have been erased since');
  }

  async #entry(entry: Entry, no: number): Promise<void> {
    const { epoch, seq } = entry.header;
    for (const [index, item] of entry.body.entries())
      if (!('op' in item)) this.#gone.add(nameOf(epoch, seq, index));
    let keys = new Set<RecordKey>();
    for (const placed of placedOps(entry)) {
      if (this.#turn.isOver()) await this.#turn.next();
      const key = await this.#op(placed, no);
      if (key === undefined || keys.add(key).size < KEYS_AT_ONCE) continue;
      await this.#records(keys);
      keys = new Set();
    }
    await this.#records(keys);
    if (this.#turn.isOver()) await this.#turn.next();
    if (this.#signal.aborted) throw stopping();
    if (this.#gone.size > ERASED || this.#named.size > ERASED)
      throw incomplete('more of its records were erased than can be told apart here');
  }

  /** The record of an op, which must be found from it. */
  async #op(placed: PlacedOp, no: number): Promise<RecordKey | undefined> {
    const read = readOp(placed);
    const { epoch, seq, index } = placed;
    if ('problem' in read) {
      if (read.checkpoint !== undefined && !this.#kept.has(nameOf(epoch, seq, index))) throw underived();
      return undefined;
    }
    const { key, reading } = read;
    if (reading.kind === 'erasure')
      for (const each of reading.erasure.ops)
        this.#named.add(nameOf(reading.erasure.epoch, reading.erasure.seq, each.index));
    const [found] = await this.#store.opPlaces(key, no, { above: { seq, index: index - 1 } }, 1);
    if (found?.seq !== seq || found.index !== index) throw underived();
    return key;
  }

  async #records(keys: ReadonlySet<RecordKey>): Promise<void> {
    const states = await this.#store.records([...keys], this.#turn);
    if (states.includes(undefined)) throw underived();
  }
}

const nameOf = (epoch: string, seq: number, index: number): string => `${epoch} ${seq} ${index}`;

const damaged = (): Error =>
  incomplete('entries of its author are missing or damaged here; run: agrinet doctor');
const underived = (): Error =>
  incomplete('stored rows of its author’s records are missing here; run: agrinet scrub');
