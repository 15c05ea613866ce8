import type { FrontierItem } from '../protocols/feed/frontier.ts';
import type { Commit, FloorsToCome, FloorStep } from '../protocols/ledger/ports.ts';
import type { Floor } from '../protocols/open-dialog/floor.ts';
import type { OpRef } from '../protocols/open-dialog/record.ts';
import { collectionOf } from '../protocols/open-dialog/schema.ts';
import { bytesEqual } from '../protocols/wire/bytes.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import type * as Rows from './floor-rows.ts';
import { type BatchOp, fullKey, innerKey, numberKey, type PutOp, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

/** Where the rows of one checkpoint of an owner stand: one is in effect, and the other comes or goes. */
export type Slot = 'a' | 'b';

/** A checkpoint whose floors are stored. */
export interface StoredFloors {
  /** Of the checkpoint. */
  readonly id: string;
  readonly slot: Slot;
  /** When it arrived, see `Entry`. */
  readonly arrived?: number;
  /** All of its covers, ascending by epoch. */
  readonly covers: readonly FrontierItem[];
}

/** One that is to take effect: its rows are written; they are all there and are what it says; or records begin above it up to one. */
export interface ComingFloors extends StoredFloors {
  readonly stage: 'staging' | 'whole' | 'applying';
  /** Records up to this one in the order of floors are above it. */
  readonly upTo?: RecordKey;
}

/** What is stored of an owner's floors. */
export interface FloorMark {
  readonly now?: StoredFloors;
  readonly next?: ComingFloors;
}

export const markKey = (owner: PeerId): string => fullKey('floors', `m\0${owner}`);

/** The start of the keys of one kind of a slot: `r` of records, `x` of erased items behind them, `c` of chunks, `e` of evidence. */
export const slotStart = (kind: 'r' | 'x' | 'c' | 'e', owner: PeerId, slot: Slot): string =>
  `${kind}\0${owner}\0${slot}\0`;

/** The row of a record, whose keys are in the order of floors. */
export function floorKey(key: RecordKey, slot: Slot): string {
  return fullKey('floors', slotStart('r', parseRecordKey(key)?.owner ?? ('' as PeerId), slot) + nameOf(key));
}

/** The row of items behind a record, or behind the covers, of which nobody knows whose they were. */
export const erasedKey = (owner: PeerId, slot: Slot, behind: RecordKey | ''): string =>
  fullKey('floors', slotStart('x', owner, slot) + (behind === '' ? '' : nameOf(behind)));

/** Names of an owner's records are in the order of floors. */
function nameOf(key: RecordKey): string {
  const parts = parseRecordKey(key);
  if (parts === undefined) throw new TypeError(`${key} is no record key`);
  return `${parts.collection}\0${parts.id}`;
}

export const chunkKey = (owner: PeerId, slot: Slot, number: number): string =>
  fullKey('floors', `${slotStart('c', owner, slot)}${numberKey(number)}`);

export const evidenceKey = (owner: PeerId, slot: Slot, epoch: string, seq: number): string =>
  fullKey('floors', `${slotStart('e', owner, slot)}${epoch}\0${numberKey(seq)}`);

type Covers = ReadonlyMap<string, number>;
type Feed = Pick<OpRef, 'author' | 'channel' | 'epoch'>;

interface Marked {
  readonly mark: FloorMark;
  readonly now: Covers | undefined;
  readonly next: Covers | undefined;
}

const KINDS = ['r', 'x', 'c', 'e'] as const;
/** In the place of a checkpoint's id. */
const GENESIS = '';
/** Bytes at the end of a row. */
const CHECKSUM = 4;
/** Rows removed together. */
const ROWS_AT_ONCE = 512;

/** Where records begin: the floors of the checkpoints in effect, by owner. What says which these are is kept in memory. */
export class FloorTable {
  readonly #db: Pick<Database, 'level' | 'batch'>;
  readonly #marks = new Map<PeerId, Marked>();

  constructor(db: Pick<Database, 'level' | 'batch'>) {
    this.#db = db;
  }

  /** Reads what is stored; it is shown once the result is called. */
  async read(level: Level): Promise<() => void> {
    const marks = new Map<PeerId, FloorMark>();
    for await (const [key, value] of level.iterator(range('floors', 'm\0')))
      marks.set(innerKey(key).slice(2) as PeerId, verifiedJson<FloorMark>(key, value));
    return () => {
      this.#marks.clear();
      for (const [owner, mark] of marks) this.#note(owner, mark);
    };
  }

  owners(): PeerId[] {
    return [...this.#marks.keys()];
  }

  mark(owner: PeerId): FloorMark {
    return this.#marks.get(owner)?.mark ?? {};
  }

  /** Writes which checkpoints are stored of an owner; synced, since what is there after a kill is told by it. */
  async setMark(owner: PeerId, mark: FloorMark): Promise<void> {
    await this.#db.batch([putJson(markKey(owner), mark)], true);
    this.#note(owner, mark);
  }

  /** Has the records of an owner begin at their genesis again, once its ledger is told: whose checkpoint is in effect that no other is upon. */
  async lower(owner: PeerId): Promise<void> {
    const { now } = this.mark(owner);
    if (now === undefined) return;
    const slot = now.slot === 'a' ? 'b' : 'a';
    await this.clean(owner);
    await this.setMark(owner, { now, next: { id: GENESIS, slot, covers: [], stage: 'whole' } });
  }

  #note(owner: PeerId, mark: FloorMark): void {
    const of = (floors: FloorMark['now']): Covers | undefined => floors && coversOf(floors.covers);
    this.#marks.set(owner, { mark, now: of(mark.now), next: of(mark.next) });
  }

  /** The mark after a step. */
  stepped({ owner, upTo }: FloorStep): { readonly row: PutOp; show(): void } {
    const { now, next } = this.mark(owner);
    if (next === undefined) throw new TypeError(`no floors of ${owner} take effect`);
    const { stage: _, upTo: __, ...floors } = next;
    const mark: FloorMark =
      upTo === undefined
        ? floors.id === GENESIS
          ? {}
          : { now: floors }
        : { ...(now && { now }), next: { ...floors, stage: 'applying', upTo } };
    return { row: putJson(markKey(owner), mark), show: () => this.#note(owner, mark) };
  }

  /** Up to where the feed's changes of a record have no effect of their own; 0 where no checkpoint covers any. */
  coverOf(key: RecordKey, feed: Feed): number {
    if (this.#marks.size === 0) return 0;
    const marked = this.#marks.get(feed.author);
    if (marked === undefined) return 0;
    return coverIn(isAbove(marked.mark.next, key) ? marked.next : marked.now, key, feed);
  }

  /** The floor of a record; undefined where it begins at its genesis. */
  async floor(key: RecordKey): Promise<Floor | undefined> {
    if (this.#marks.size === 0) return undefined;
    const owner = parseRecordKey(key)?.owner;
    const marked = owner && this.#marks.get(owner);
    if (marked === undefined) return undefined;
    const { now, next } = marked.mark;
    const floors = isAbove(next, key) ? next : now;
    return floors && this.floorIn(key, floors);
  }

  /** The floor of a record by one of the checkpoints that are stored of its owner. */
  async floorIn(
    key: RecordKey,
    { slot, arrived }: Pick<StoredFloors, 'slot' | 'arrived'>,
  ): Promise<Floor | undefined> {
    const full = floorKey(key, slot);
    const value = await this.#db.level.get(full);
    if (value === undefined) return undefined;
    const { floorIn } = await floorRows();
    const floor = floorIn(full, key, value);
    return floor && (arrived === undefined ? floor : { ...floor, arrived });
  }

  /** Whether a record has a floor that has lost its values to an erasure. */
  async isErased(key: RecordKey): Promise<boolean> {
    const { now } = this.mark(parseRecordKey(key)?.owner ?? ('' as PeerId));
    if (now === undefined) return false;
    const full = floorKey(key, now.slot);
    const value = await this.#db.level.get(full);
    return value !== undefined && (await floorRows()).isErasedRow(full, value);
  }

  /** Keys of records that an owner has or that have a floor by any checkpoint that is stored, behind one, in the order of floors. */
  async keys(owner: PeerId, behind: RecordKey | undefined, limit: number): Promise<RecordKey[]> {
    const { now, next } = this.mark(owner);
    const slots = [now?.slot, next?.slot].filter((slot) => slot !== undefined);
    const { floorKeys } = await import('./floor-keys.ts');
    return floorKeys(this.#db.level, owner, slots, behind, limit);
  }

  /** What is to take effect of an owner. */
  toCome(owner: PeerId): FloorsToCome | undefined {
    const marked = this.#marks.get(owner);
    const { now, next } = marked?.mark ?? {};
    if (next === undefined || next.stage === 'staging') return undefined;
    return {
      upTo: next.upTo,
      keys: async (behind, limit) => {
        const { floorKeys } = await import('./floor-keys.ts');
        return floorKeys(this.#db.level, owner, [next.slot], behind, limit);
      },
      floor: (key) => this.floorIn(key, next),
      coverOf: (key, feed) => coverIn(marked?.next, key, feed),
      isAsNow: async (key) => {
        if (now === undefined) return false;
        const [a, b] = await this.#db.level.getMany([floorKey(key, now.slot), floorKey(key, next.slot)]);
        // The checksum is over the key too.
        return a !== undefined && b !== undefined && isSameValue(a, b);
      },
    };
  }

  /** Owners of whom something is to take effect. */
  coming(): PeerId[] {
    return this.owners().filter((owner) => this.toCome(owner) !== undefined);
  }

  /**
   * Adds what takes the values out of the rows of these records, and of those by a checkpoint that covers an erased op: the items keep
   * their hashes, and so do the chunks.
   */
  async erase(keys: Iterable<RecordKey>, erased: Commit['erased'], ops: BatchOp[]): Promise<void> {
    if (this.#marks.size === 0) return;
    const rows = new Map<string, RecordKey>();
    for (const key of keys) for (const { slot } of this.#slots(key)) rows.set(floorKey(key, slot), key);
    for (const { key, ref } of erased)
      for (const { slot, covers } of this.#slots(key))
        if (ref.seq <= (covers?.get(ref.epoch) ?? 0)) rows.set(floorKey(key, slot), key);
    if (rows.size === 0) return;
    const { erasedFloorRow } = await floorRows();
    for (const full of rows.keys()) {
      const stored = await this.#db.level.get(full);
      const value = stored && erasedFloorRow(full, stored);
      if (value !== undefined) ops.push({ type: 'put', key: full, value });
    }
  }

  #slots(key: RecordKey): readonly { readonly slot: Slot; readonly covers: Covers | undefined }[] {
    const owner = parseRecordKey(key)?.owner;
    const marked = owner && this.#marks.get(owner);
    if (marked === undefined) return [];
    const { mark, now, next } = marked;
    return [
      ...(mark.now === undefined ? [] : [{ slot: mark.now.slot, covers: now }]),
      ...(mark.next === undefined ? [] : [{ slot: mark.next.slot, covers: next }]),
    ];
  }

  /** Removes the rows that no mark of the owner names. */
  async clean(owner: PeerId, pace: () => Promise<void> = async () => undefined): Promise<void> {
    const { now, next } = this.mark(owner);
    for (const slot of ['a', 'b'] as const) {
      if (slot === now?.slot || slot === next?.slot) continue;
      for (const kind of KINDS)
        for (;;) {
          const some = { ...range('floors', slotStart(kind, owner, slot)), limit: ROWS_AT_ONCE };
          const keys = await this.#db.level.keys(some).all();
          if (keys.length === 0) break;
          const gone = keys.map((key): BatchOp => ({ type: 'del', key }));
          await this.#db.batch(gone, false);
          await pace();
        }
    }
  }

  /** The mark of an owner was removed: its records begin at their genesis. */
  gone(owner: PeerId): void {
    this.#marks.delete(owner);
  }
}

/** What reads such rows: a node without checkpoints has none. */
const floorRows = async (): Promise<typeof Rows> => import('./floor-rows.ts');

/** Two rows without their checksums. */
function isSameValue(a: Uint8Array, b: Uint8Array): boolean {
  return bytesEqual(a.subarray(0, -CHECKSUM), b.subarray(0, -CHECKSUM));
}

/** Whether a checkpoint that is taking effect has done so for this record. */
function isAbove(next: ComingFloors | undefined, key: RecordKey): boolean {
  return next?.stage === 'applying' && next.upTo !== undefined && nameOf(key) <= nameOf(next.upTo);
}

/** Of documents alone: facts have effect wherever they stand. */
function coverIn(covers: Covers | undefined, key: RecordKey, { channel, epoch }: Feed): number {
  if (covers === undefined || channel !== 'public' || collectionOf(key)?.kind !== 'document') return 0;
  return covers.get(epoch) ?? 0;
}

function coversOf(covers: readonly FrontierItem[]): Covers {
  return new Map(covers.map(({ epoch, seq }) => [epoch, seq]));
}

/** All rows of an owner, its mark among them. */
export function floorRanges(owner: PeerId): { gte: string; lt: string }[] {
  const mark = markKey(owner);
  const rows = KINDS.map((kind) => range('floors', `${kind}\0${owner}\0`));
  return [{ gte: mark, lt: `${mark}\0` }, ...rows];
}
