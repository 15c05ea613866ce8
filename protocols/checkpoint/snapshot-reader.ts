import { decodeEntry, type Entry } from '../feed/entry.ts';
import type { FrontierItem } from '../feed/frontier.ts';
import { decodeOp } from '../feed/op.ts';
import { readEntry } from '../ledger/read-entry.ts';
import { placedOps } from '../ledger/placed-ops.ts';
import { readOp } from '../open-dialog/read-op.ts';
import { decodeCbor } from '../wire/cbor.ts';
import type { RecordKey } from '../wire/ids.ts';
import { type Chunk, type ChunkItem, malformed } from './chunk.ts';
import { isEvidence } from './floor.ts';
import { OwnerSums } from './owner-sums.ts';
import { ItemReader, type ReadItems } from './read-items.ts';
import { type Checkpoint, CHECKPOINTS } from '../feed/checkpoint.ts';

/**
 * Checks what whoever sends an evidence item could have changed: its hash is that of the header alone. Throws what `decodeEntry` throws,
 * and `chunk-malformed`.
 */
export function checkEvidence({ bytes }: ChunkItem): void {
  const { entry, signatureHolds, bodyMatches } = readEntry(entryBytes(bytes));
  if (!signatureHolds()) throw malformed('evidence whose signature does not hold');
  if (!bodyMatches()) throw malformed('evidence with another body');
  const whole = entry.body.flatMap((item) => ('op' in item ? [item.op] : []));
  // No evidence can be erased.
  if (whole.length === 0 || !whole.every(staysWhole))
    throw malformed('another op than those that are evidence');
}

/** Ops of other kinds stand as their hashes. */
function staysWhole(bytes: Uint8Array): boolean {
  const op = decodeOp(bytes);
  if (op === undefined) return false;
  return op.t === 'erase' || op.c === CHECKPOINTS || (op.t === 'fact' && isEvidence(op.c));
}

function entryBytes(item: Uint8Array | undefined): Uint8Array {
  const list = item === undefined ? undefined : decodeCbor(item);
  const bytes: unknown = Array.isArray(list) ? list[1] : undefined;
  if (!(bytes instanceof Uint8Array)) throw malformed('evidence that is no entry');
  return bytes;
}

/**
 * Reads an author's snapshot, chunk by chunk in order, and holds it against what the author has signed. Each chunk belongs to its list already,
 * so what is wrong here is the author's fault. Throws `chunk-malformed`, `not-canonical`, and what reading an entry throws.
 */
export class SnapshotReader {
  readonly #checkpoint: Checkpoint;
  readonly #items: ItemReader;
  readonly #sums = new OwnerSums();
  /** Facts of those collections whose facts are evidence that have an element or none any more, by the beginning of their ids: one can stand in several entries. */
  readonly #facts = new Set<string>();
  /** How many of the covers that the statement names have come. */
  #named = 0;
  #entries = 0;
  #erased = 0;
  #place: { readonly epoch: string; readonly seq: number } | undefined;

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint;
    this.#items = new ItemReader(checkpoint.author);
  }

  /** Items that stand as their hashes. */
  get erased(): number {
    return this.#erased;
  }

  /** Takes the next chunk of the covers and records in, item by item. */
  *records({ items }: Chunk): Generator<void, ReadItems> {
    for (const item of items) {
      this.#items.read(item);
      yield;
    }
    return yield* this.#took(this.#items.take());
  }

  /** What is left of the records when there is no further chunk. */
  *recordsEnd(): Generator<void, ReadItems> {
    const read = yield* this.#took(this.#items.end());
    if (this.#named < this.#checkpoint.covers.length) throw malformed('a cover that was signed is missing');
    return read;
  }

  /** Takes the next chunk of the evidence in, entry by entry. */
  *evidence({ items }: Chunk): Generator<void, readonly Entry[]> {
    const entries: Entry[] = [];
    for (const { bytes } of items) {
      entries.push(this.#entry(decodeEntry(entryBytes(bytes))));
      yield;
    }
    return entries;
  }

  /** All was taken in. An item that was erased has no element any more, so then nothing but the counts is compared. */
  finish(): void {
    const { digest, count, evidence } = this.#checkpoint;
    const sums = this.#sums.finish();
    if (this.#entries !== evidence.count) throw malformed('another number of evidence than was signed');
    if (this.#erased === 0 ? sums.count !== count : sums.count > count || sums.count + this.#erased < count)
      throw malformed('another number of records than was signed');
    if (this.#erased === 0 && sums.digest !== digest) throw malformed('another digest than was signed');
  }

  *#took(read: ReadItems): Generator<void, ReadItems> {
    for (const cover of read.covers) this.#cover(cover);
    this.#erased += read.erased.length;
    for (const floor of read.floors) {
      this.#sums.add(floor);
      // Its fact is no evidence, however it comes.
      if (isEvidence(floor.key.slice(0, floor.key.indexOf('/')))) this.#facts.add(nameOf(floor.key));
      yield;
    }
    return read;
  }

  /** Both lists are ascending. */
  #cover({ epoch, seq, hash, fork }: FrontierItem): void {
    const named = this.#checkpoint.covers[this.#named];
    if (named === undefined || epoch < named.epoch) return;
    if (epoch !== named.epoch || seq !== named.seq || hash !== named.hash || fork !== named.fork)
      throw malformed('another cover than was signed');
    this.#named++;
  }

  #entry(entry: Entry): Entry {
    const { author, header } = entry;
    if (author !== this.#checkpoint.author || header.channel !== 'public')
      throw malformed('evidence of another feed');
    const last = this.#place;
    if (
      last !== undefined &&
      (header.epoch < last.epoch || (header.epoch === last.epoch && header.seq <= last.seq))
    )
      throw malformed('evidence out of order');
    this.#place = { epoch: header.epoch, seq: header.seq };
    this.#entries++;
    for (const placed of placedOps(entry)) {
      const read = readOp(placed);
      if ('problem' in read || read.reading.kind !== 'fact') continue;
      if (isEvidence(read.collection.name)) this.#fact(read.key);
    }
    return entry;
  }

  #fact(key: RecordKey): void {
    const name = nameOf(key);
    if (this.#facts.has(name)) return;
    this.#facts.add(name);
    this.#sums.add({ kind: 'fact', key, d: NOTHING, created: NO_TIME, updated: NO_TIME });
  }
}

/** 60 bits of a hash: as many facts as there can be differ in them, and an author that makes two alike refuses itself. */
function nameOf(key: RecordKey): string {
  const [collection = '', , id = ''] = key.split('/');
  return `${collection}/${id.slice(0, 10)}`;
}

const NOTHING = new Uint8Array(0);
const NO_TIME = [0, 0] as const;
