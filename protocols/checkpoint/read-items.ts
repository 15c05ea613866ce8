import { compareTimes, type HlcTime } from '../feed/clock.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import type { DocumentFloor, Floor, FloorValue } from '../open-dialog/floor.ts';
import { genesisOf } from '../open-dialog/genesis.ts';
import { HOT } from '../open-dialog/hot.ts';
import { COLLECTIONS, fieldRule, valueProblem } from '../open-dialog/schema.ts';
import { base64url, bytesEqual, hex, sha256 } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, integer } from '../wire/cbor.ts';
import { isCollection, isLocalId, recordKey, type RecordKey } from '../wire/ids.ts';
import type { PeerId } from '../wire/identity.ts';
import { type ChunkItem, malformed } from './chunk.ts';
import { floorOrder, isEvidence } from './floor.ts';
import { ENDED, floorItems, ITEM } from './items.ts';
import { readCover } from '../feed/checkpoint.ts';

/** An item that stands as its hash: of a record after this one, or of the first. */
export interface ErasedItem {
  readonly behind: RecordKey | undefined;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** What a snapshot says of its covers and records. */
export interface ReadItems {
  readonly covers: readonly FrontierItem[];
  readonly floors: readonly Floor[];
  readonly erased: readonly ErasedItem[];
}

/** A document whose further items may follow. */
interface OpenDocument {
  readonly floor: DocumentFloor;
  readonly values: FloorValue[];
  readonly items: Uint8Array[];
}

/**
 * Reads the items of an author's snapshot in order, strictly: covers first, then records, each in its place and in its one form, its
 * values valid for their fields. Throws `chunk-malformed` or `not-canonical`.
 */
export class ItemReader {
  readonly #author: PeerId;
  #covers: FrontierItem[] = [];
  #floors: Floor[] = [];
  #open: OpenDocument | undefined;
  #lastEpoch = '';
  #last: RecordKey | undefined;
  /** Covers come before everything else. */
  #isBehindCovers = false;
  #erased: ErasedItem[] = [];

  constructor(author: PeerId) {
    this.#author = author;
  }

  /** Takes one item in. */
  read({ bytes, hash }: ChunkItem): void {
    if (bytes === undefined) {
      this.#close();
      this.#isBehindCovers = true;
      this.#erased.push({ behind: this.#last, hash });
      return;
    }
    const list = decodeCbor(bytes);
    if (!Array.isArray(list)) throw malformed('an item that is no list');
    if (list[0] === ITEM.more) return this.#more(list, bytes);
    this.#close();
    if (list[0] === ITEM.cover) return this.#cover(list);
    this.#isBehindCovers = true;
    if (list[0] === ITEM.document) return this.#document(list, bytes);
    const floor = list[0] === ITEM.fact ? this.#fact(list) : this.#ended(list);
    this.#take(floor, [bytes]);
  }

  /** What was read since the last time, but for a document of which more items may follow. */
  take(): ReadItems {
    const taken = { covers: this.#covers, floors: this.#floors, erased: this.#erased };
    [this.#covers, this.#floors, this.#erased] = [[], [], []];
    return taken;
  }

  /** The same, when there are no more. */
  end(): ReadItems {
    this.#close();
    return this.take();
  }

  #cover(list: readonly unknown[]): void {
    const cover = readCover(list.slice(1));
    if (cover === undefined || this.#isBehindCovers) throw malformed('a cover');
    if (cover.epoch <= this.#lastEpoch) throw malformed('covers are not ascending');
    this.#lastEpoch = cover.epoch;
    this.#covers.push(cover);
  }

  #fact(list: readonly unknown[]): Floor {
    const [, collection, , , d] = list;
    if (list.length !== 5 || !(d instanceof Uint8Array) || kindOf(collection) !== 'fact')
      throw malformed('a fact');
    const key = this.#key(collection, base64url(sha256(d)));
    if (isEvidence(collection as string)) throw malformed('evidence among the records');
    return { kind: 'fact', key, d, ...timesOf(list, 2) };
  }

  #ended(list: readonly unknown[]): Floor {
    const flags = integer(list[3], 1, ENDED.tombstone + ENDED.erased);
    if (list[0] !== ITEM.ended || list.length !== 6 || flags === undefined)
      throw malformed('an item of an unknown kind');
    const key = this.#key(list[1], list[2]);
    const tombstone = (flags & ENDED.tombstone) !== 0;
    return { kind: 'ended', key, tombstone, erased: (flags & ENDED.erased) !== 0, ...timesOf(list, 4) };
  }

  #document(list: readonly unknown[], bytes: Uint8Array): void {
    const maxOp = integer(list[3], 1, MOST_OPS);
    if (list.length !== 8 || kindOf(list[1]) !== 'document' || maxOp === undefined)
      throw malformed('a document');
    const key = this.#key(list[1], list[2]);
    const heads = headsOf(list[6]);
    const values = valuesOf(list[1] as string, list[7]);
    const floor = { kind: 'document' as const, key, heads, maxOp, values, ...timesOf(list, 4) };
    this.#open = { floor, values, items: [bytes] };
  }

  #more(list: readonly unknown[], bytes: Uint8Array): void {
    const open = this.#open;
    if (open === undefined || list.length !== 2) throw malformed('values of no record');
    open.values.push(...valuesOf(open.floor.key.slice(0, open.floor.key.indexOf('/')), list[1]));
    open.items.push(bytes);
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    checkDocument(open);
    this.#take(open.floor, open.items);
  }

  #take(floor: Floor, items: readonly Uint8Array[]): void {
    if (this.#last !== undefined && floorOrder(this.#last, floor.key) >= 0) throw malformed('out of order');
    if (compareTimes(floor.created, floor.updated) > 0) throw malformed('times');
    // What is split or spelt in another way is another snapshot.
    let at = 0;
    for (const { bytes } of floorItems(floor)) {
      const item = items[at++];
      if (bytes === undefined || item === undefined || !bytesEqual(bytes, item))
        throw malformed('a record in another than its one form');
    }
    if (at !== items.length) throw malformed('a record in another than its one form');
    this.#last = floor.key;
    this.#floors.push(floor);
  }

  #key(collection: unknown, id: unknown): RecordKey {
    if (
      !isCollection(collection) ||
      typeof id !== 'string' ||
      !isLocalId(id) ||
      kindOf(collection) === undefined
    )
      throw malformed('a record that cannot be');
    return recordKey(collection, this.#author, id);
  }
}

function kindOf(collection: unknown): 'document' | 'fact' | undefined {
  return isCollection(collection) ? COLLECTIONS[collection]?.kind : undefined;
}

/** Values stand by field and the winner first, each once, and none is older than the genesis or newer than the newest op. */
function checkDocument({ floor: { key, maxOp }, values }: OpenDocument): void {
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  const first = collection === undefined ? 0 : genesisOf(collection).maxOp;
  const ops = new Set<string>();
  const own = new Set<string>();
  for (const [i, value] of values.entries()) {
    const { field, counter, actor } = value;
    const before = values[i - 1];
    if (counter <= first || counter > maxOp) throw malformed('an op that cannot be');
    if (before !== undefined && !follows(before, value)) throw malformed('values are out of order');
    ops.add(`${counter}@${actor}`);
    own.add(`${field} ${actor}`);
  }
  if (ops.size < values.length || own.size < values.length) throw malformed('two values of one op or actor');
  const isWhole = collection?.required.every((name) => values.some(({ field }) => field === name));
  if (isWhole !== true) throw malformed('a required field is missing');
}

/** By field, then the larger counter, then the larger actor. */
function follows(a: FloorValue, b: FloorValue): boolean {
  if (a.field !== b.field) return a.field < b.field;
  return a.counter > b.counter || (a.counter === b.counter && a.actor > b.actor);
}

/** Ascending, and no more than a state shows: of further ones it would have to be known which it shows. */
function headsOf(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > HOT.heads) throw malformed('heads');
  const heads = value.map((item: unknown) => {
    const hash = bytesOf(item, 32);
    if (hash === undefined) throw malformed('heads');
    return hex(hash);
  });
  if (heads.some((hash, i) => i > 0 && hash <= (heads[i - 1] ?? ''))) throw malformed('heads');
  return heads;
}

function valuesOf(name: string, value: unknown): FloorValue[] {
  const collection = COLLECTIONS[name];
  if (!Array.isArray(value) || collection === undefined) throw malformed('values');
  return value.map((item: unknown) => {
    if (!Array.isArray(item) || item.length !== 4) throw malformed('values');
    const [field, , , text] = item as unknown[];
    const counter = integer(item[1], 1, MOST_OPS);
    const actor = bytesOf(item[2], 16);
    const rule = typeof field === 'string' ? fieldRule(collection, field) : undefined;
    if (typeof field !== 'string' || rule === undefined || counter === undefined || actor === undefined)
      throw malformed('values');
    if (typeof text !== 'string' && typeof text !== 'number' && typeof text !== 'boolean')
      throw malformed('values');
    if (valueProblem(rule, text) !== undefined) throw malformed('a value that its field cannot have');
    return { field, counter, actor: hex(actor), value: text };
  });
}

/** Of op counters, as in changes. */
const MOST_OPS = 2 ** 31 - 1;

function timesOf(list: readonly unknown[], at: number): { created: HlcTime; updated: HlcTime } {
  const [created, updated] = [timeOf(list[at]), timeOf(list[at + 1])];
  if (created === undefined || updated === undefined) throw malformed('times');
  return { created, updated };
}

function timeOf(value: unknown): HlcTime | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const ms = integer(value[0], 0);
  const counter = integer(value[1], 0, 0xffff_ffff);
  return ms === undefined || counter === undefined ? undefined : [ms, counter];
}
