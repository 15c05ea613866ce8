import { AgrinetError } from '../errors.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { hasGap } from '../feed/gap.ts';
import type { LedgerStore } from '../ledger/ports.ts';
import { sliced, type Turn } from '../ledger/turn.ts';
import type { Floor } from '../open-dialog/floor.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { TOO_MANY_HEADS } from '../open-dialog/rule.ts';
import { COLLECTIONS } from '../open-dialog/schema.ts';
import type { PeerId } from '../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { ChunkItem } from './chunk.ts';
import { type CoveredRecord, CoveredRecords } from './covered-records.ts';
import { EvidencePlaces } from './evidence-places.ts';
import { hasItems, isEvidence } from './floor.ts';
import { floorItems } from './items.ts';
import { type OnChunk, SnapshotBuilder, type SnapshotSums } from './snapshot.ts';
import type { Checkpoint } from '../feed/checkpoint.ts';

/** What a snapshot is made from. */
export interface SnapshotStore extends LedgerStore {
  /** Keys of an owner's records in a collection that stand behind a local id, in order. */
  recordKeys(collection: string, owner: PeerId, behind: string, limit: number): Promise<RecordKey[]>;
  /** Whether a record has a floor that has lost its values to an erasure. */
  isFloorErased(key: RecordKey): Promise<boolean>;
  checkpoints(author: PeerId): AsyncIterable<{
    readonly epoch: string;
    readonly seq: number;
    readonly index: number;
    readonly checkpoint: Checkpoint;
  }>;
}

/** What a snapshot says, and what was looked at for it. */
export interface MadeSnapshot extends SnapshotSums {
  readonly records: number;
  /** Records whose erasure is not covered: of their covered ops some may be gone. */
  readonly erasedSince: number;
}

export interface SnapshotHow {
  readonly turn: Turn;
  /** Looks whether every record shows above its floor what it shows now; throws `checkpoint-refused` for one that does not. */
  readonly isChecked: boolean;
  /** Evaluates every record from its ops, whatever its stored state says. */
  readonly isFromOps?: boolean;
  readonly signal: AbortSignal;
  readonly onRecord?: () => void;
  readonly onChunk?: OnChunk;
  /** Of each record that is in the snapshot, with its items there. */
  readonly onFloor?: (key: RecordKey, items: readonly ChunkItem[]) => Promise<void>;
  /** Of each entry that stays as evidence. */
  readonly onEvidence?: (epoch: string, seq: number, indexes: ReadonlySet<number>) => Promise<void>;
}

/** Keys that are read together. */
const KEYS_AT_ONCE = 64;

/**
 * Makes the snapshot of an author at these covers, from the entries that are held. It reads in turns while writes go on: what is covered
 * does not change, but by a fork or an erasure that comes meanwhile, for which the caller looks. Throws `checkpoint-refused`, and
 * `checkpoint-incomplete` where something covered is not held here.
 */
export async function makeSnapshot(
  store: SnapshotStore,
  author: PeerId,
  covers: readonly FrontierItem[],
  how: SnapshotHow,
): Promise<MadeSnapshot> {
  await checkHeld(store, author, covers);
  return new SnapshotMaker(store, author, covers, how).make();
}

export const incomplete = (why: string): AgrinetError => new AgrinetError('checkpoint-incomplete', why);

/** The very entries that are covered must be held: their chain ends in the hash of the cover. Throws `checkpoint-incomplete`. */
export async function checkHeld(
  store: SnapshotStore,
  author: PeerId,
  covers: readonly FrontierItem[],
): Promise<void> {
  const feeds = store.feeds(author, 'public');
  if (hasGap(store, feeds)) throw incomplete('entries of its author were forgotten here');
  for (const { epoch, seq, hash } of covers) {
    const feed = feeds.find((each) => each.epoch === epoch);
    if (feed === undefined || feed.seq < seq) throw incomplete('not all that it covers is held here yet');
    if (seq > 0 && (await store.entry(feed.no, seq))?.hash !== hash)
      throw incomplete('its author has signed two histories, and the other one is held here');
  }
}

class SnapshotMaker {
  readonly #store: SnapshotStore;
  readonly #author: PeerId;
  readonly #how: SnapshotHow;
  readonly #covered: CoveredRecords;
  readonly #builder: SnapshotBuilder;
  readonly #evidence = new EvidencePlaces();
  #records = 0;
  #erasedSince = 0;

  constructor(store: SnapshotStore, author: PeerId, covers: readonly FrontierItem[], how: SnapshotHow) {
    this.#store = store;
    this.#author = author;
    this.#how = how;
    this.#covered = new CoveredRecords(store, author, covers, how);
    this.#builder = new SnapshotBuilder(covers, how.onChunk);
  }

  async make(): Promise<MadeSnapshot> {
    const shown = Object.keys(COLLECTIONS).filter((name) => COLLECTIONS[name]?.channels !== 'private');
    for (const collection of shown.sort()) await this.#collection(collection);
    for await (const placed of this.#store.checkpoints(this.#author))
      if (this.#covered.isCovered(placed)) this.#evidence.add(placed);
    await this.#entries();
    return { ...this.#builder.finish(), records: this.#records, erasedSince: this.#erasedSince };
  }

  async #collection(collection: string): Promise<void> {
    for (let behind = ''; ;) {
      const keys = await this.#store.recordKeys(collection, this.#author, behind, KEYS_AT_ONCE);
      for (const state of await this.#store.records(keys, this.#how.turn))
        if (state?.channel === 'public') await this.#record(state);
      const last = keys.at(-1);
      if (last === undefined) return;
      behind = parseRecordKey(last)?.id ?? '';
    }
  }

  async #record(state: RecordState): Promise<void> {
    const { turn, signal, isChecked, onRecord } = this.#how;
    if (turn.isOver()) await turn.next();
    if (signal.aborted) throw stopping();
    const { key } = state;
    const isWhole = await this.#covered.isWhole(key);
    const floor = await this.#covered.floor(state, isWhole);
    const isErased = typeof floor === 'object' && floor.kind === 'ended' && floor.erased;
    // What stands below it is not known any more, whichever ops the erasure has named.
    if (!isErased && (await this.#store.isFloorErased(key)))
      throw incomplete('a record that it covers has been erased since');
    if (floor === TOO_MANY_HEADS)
      throw refused(
        key,
        'has more concurrent versions than a checkpoint can hold; edit it once, to join them',
      );
    if (isChecked && !isWhole && !(await this.#covered.isKept(key, floor)))
      throw refused(key, 'would lose a change that was made without knowing of a later one');
    if (state.erased === true && (await this.#covered.places(key, 'erase')).length === 0) this.#erasedSince++;
    this.#records++;
    onRecord?.();
    if (floor === undefined) return;
    await sliced(this.#builder.add(floor), turn);
    if (hasItems(floor)) await this.#how.onFloor?.(key, [...floorItems(floor)]);
    await this.#note(floor);
  }

  /** What of a record stays as evidence. */
  async #note(floor: NonNullable<Exclude<CoveredRecord, string>>): Promise<void> {
    const type = evidenceOf(floor);
    if (type === undefined) return;
    for (const ref of await this.#covered.places(floor.key, type)) this.#evidence.add(ref);
  }

  async #entries(): Promise<void> {
    const { turn, signal } = this.#how;
    for (const { epoch, seq, indexes } of this.#evidence.inOrder()) {
      const no = this.#store.feed(this.#author, 'public', epoch)?.no ?? 0;
      const entry = await this.#store.entry(no, seq);
      if (entry === undefined)
        throw incomplete('entries of its author are missing here; run: agrinet doctor');
      this.#builder.keep(entry, indexes);
      await this.#how.onEvidence?.(epoch, seq, indexes);
      if (turn.isOver()) await turn.next();
      if (signal.aborted) throw stopping();
    }
  }
}

export const stopping = (): AgrinetError => new AgrinetError('stopping', 'the node is stopping');

/** The type of those ops of a record that stay. */
function evidenceOf(floor: Floor): 'fact' | 'erase' | undefined {
  if (floor.kind === 'ended') return floor.erased ? 'erase' : undefined;
  const isKept = floor.kind === 'fact' && isEvidence(floor.key.slice(0, floor.key.indexOf('/')));
  return isKept ? 'fact' : undefined;
}

function refused(key: RecordKey, why: string): AgrinetError {
  return new AgrinetError('checkpoint-refused', `no checkpoint can be made now: ${key} ${why}`, {
    details: { key },
  });
}
