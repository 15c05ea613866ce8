import type { PeerId } from '../wire/identity.ts';
import type { Header } from '../feed/header.ts';
import type { BodyItem, Entry } from '../feed/entry.ts';
import type { ReadEntry } from '../ledger/read-entry.ts';
import type { FieldOp, Scalar } from '../open-dialog/change.ts';
import { genesisOf } from '../open-dialog/genesis.ts';
import type { Reading, ReadOp } from '../open-dialog/read-op.ts';
import { COLLECTIONS, type Collection } from '../open-dialog/schema.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { RangeItem } from './range-item.ts';

/*
 * What was read of a range on one thread, as it crosses to another: bytes in one buffer that is given away, everything else in few flat arrays.
 * Copying objects of objects would cost the receiving thread as much as reading the bytes.
 */

/** Items of a frame. Their bytes are concatenated. */
export interface PackedItems {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly items: readonly PackedItem[];
  /** The content of the ops of all entries, in order; nothing for an erased op. */
  readonly ops: readonly PackedOp[];
}

interface PackedItem {
  readonly kind: RangeItem['kind'];
  readonly length: number;
  /** For an entry that was read and is valid by itself. */
  readonly read?: PackedEntry;
}

interface PackedEntry {
  readonly author: PeerId;
  readonly header: Header;
  readonly hash: string;
  /** Bytes of its envelope and of the payload in that. */
  readonly envelope: number;
  readonly payload: number;
  /** Bytes of each op; `ERASED` for one that is replaced by its hash. */
  readonly body: readonly number[];
}

const ERASED = -1;

/**
 * Most ops are changes that set fields and replace nothing. They are encoded as `CREATION`, key, collection, actor, seq, start op,
 * time, `deps` (0 for the genesis alone), hash, whether it creates, and the values by field; all others unchanged, with the name for
 * the collection.
 */
type PackedOp =
  | number
  | string
  | boolean
  | readonly string[]
  | Readonly<Record<string, Scalar>>
  | Extract<ReadOp, { problem: string }>
  | NamedOp;
interface NamedOp {
  readonly key: RecordKey;
  readonly named: string;
  readonly reading: Reading;
}
const CREATION = 1;
const GENESIS = 0;

/** An entry that is valid by itself, and the content of its ops without the erased ones. */
export interface ReadItem {
  readonly entry: Entry;
  readonly ops: readonly ReadOp[];
}

/** Gathers items until they are sent. */
export class ItemPacker {
  readonly #parts: Uint8Array[] = [];
  readonly #items: PackedItem[] = [];
  readonly #ops: PackedOp[] = [];
  #length = 0;

  add({ kind, bytes }: RangeItem, read?: ReadItem): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#items.push(
      read === undefined
        ? { kind, length: bytes.length }
        : { kind, length: bytes.length, read: packedEntry(read.entry) },
    );
    for (const op of read?.ops ?? []) packOp(op, this.#ops);
  }

  packed(): PackedItems {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return { bytes, items: this.#items, ops: this.#ops };
  }
}

function packedEntry({ author, header, hash, envelope, envelopeBytes, body }: Entry): PackedEntry {
  return {
    author,
    header,
    hash,
    envelope: envelopeBytes.length,
    payload: envelope.payload.length,
    body: body.map((item) => ('op' in item ? item.op.length : ERASED)),
  };
}

function packOp(read: ReadOp, into: PackedOp[]): void {
  if ('problem' in read) {
    // Of a view all that it is part of would be sent.
    into.push(lasting(read));
    return;
  }
  const { key, collection, reading } = read;
  const values = reading.kind === 'change' ? creation(reading.change.ops) : undefined;
  if (reading.kind !== 'change' || values === undefined) {
    const sent = reading.kind === 'erasure' ? { ...reading, erasure: copied(reading.erasure) } : reading;
    into.push({ key, named: collection.name, reading: sent });
    return;
  }
  const { actor, seq, startOp, time, deps, hash } = reading.change;
  const isFirst = deps.length === 1 && deps[0] === genesisOf(collection).hash;
  const where = isFirst ? GENESIS : deps;
  into.push(CREATION, key, collection.name, actor, seq, startOp, time, where, hash, reading.creates, values);
}

/** An op without views of what was received. */
function lasting(read: Extract<ReadOp, { problem: string }>): Extract<ReadOp, { problem: string }> {
  const { erasure, checkpoint } = read;
  if (erasure !== undefined) return { ...read, erasure: copied(erasure) };
  if (checkpoint === undefined) return read;
  return { ...read, checkpoint: { ...checkpoint, signed: checkpoint.signed.slice() } };
}

function copied<T extends { readonly bytes: Uint8Array }>(erasure: T): T {
  return { ...erasure, bytes: erasure.bytes.slice() };
}

/** The values by field of ops that all set one and replace none; undefined of others. Of fields no two are the same, and none is named by a number. */
function creation(ops: readonly FieldOp[]): Record<string, Scalar> | undefined {
  const values: Record<string, Scalar> = {};
  for (const { action, field, value, pred } of ops) {
    if (action !== 'set' || value === undefined || pred.length > 0) return undefined;
    values[field] = value;
  }
  return values;
}

/** The items, as they were read. Entries keep the whole buffer as long as they are kept; proofs and erasures, which may be for long, do not. */
export function unpacked({ bytes, items, ops }: PackedItems): RangeItem[] {
  const reader = new OpReader(ops);
  let at = 0;
  return items.map(({ kind, length, read }): RangeItem => {
    const start = at;
    at += length;
    if (read === undefined) return { kind, bytes: bytes.slice(start, at) };
    const item = bytes.subarray(start, at);
    return { kind, bytes: item, read: unpackedEntry(item, read, reader) };
  });
}

/** Bytes of the head of a byte string, in its one form. */
const headOf = (length: number): number =>
  length < 24 ? 1 : length < 0x1_00 ? 2 : length < 0x1_00_00 ? 3 : 5;

/** The bytes before the 64 of the signature, and before the key. */
const SIGNATURE = 64;
const SIGNATURE_HEAD = 2;
const KEY_AT = 6;
const KEY_END = KEY_AT + 32;
/** A pair, and the heads of a pair of one with a hash of 32 bytes. */
const PAIR = 1;
const ERASED_HEAD = 3;
const HASH = 32;

function unpackedEntry(bytes: Uint8Array, packed: PackedEntry, reader: OpReader): ReadEntry {
  const { author, header, hash } = packed;
  const start = PAIR + headOf(packed.envelope);
  const envelopeBytes = bytes.subarray(start, start + packed.envelope);
  const payloadEnd = packed.envelope - SIGNATURE - SIGNATURE_HEAD;
  const reads: (ReadOp | undefined)[] = [];
  let at = start + packed.envelope + headOf(packed.body.length);
  const body = packed.body.map((length): BodyItem => {
    const from = at + (length === ERASED ? ERASED_HEAD : headOf(length));
    at = from + (length === ERASED ? HASH : length);
    reads.push(length === ERASED ? undefined : reader.next());
    return length === ERASED ? { erased: bytes.subarray(from, at) } : { op: bytes.subarray(from, at) };
  });
  const entry: Entry = {
    bytes,
    envelope: {
      author,
      publicKey: envelopeBytes.subarray(KEY_AT, KEY_END),
      payload: envelopeBytes.subarray(payloadEnd - packed.payload, payloadEnd),
      signature: envelopeBytes.subarray(packed.envelope - SIGNATURE),
    },
    envelopeBytes,
    author,
    header,
    hash,
    body,
    arrived: 0,
  };
  return {
    entry,
    signatureHolds: () => true,
    bodyMatches: () => true,
    op: ({ index }) => {
      const read = reads[index];
      if (read === undefined) throw new TypeError('an op that was erased');
      return read;
    },
  };
}

/** Goes through packed ops. */
class OpReader {
  readonly #ops: readonly PackedOp[];
  #at = 0;

  constructor(ops: readonly PackedOp[]) {
    this.#ops = ops;
  }

  next(): ReadOp {
    const first = this.#take();
    if (first === CREATION) return this.#creation();
    const op = first as Extract<ReadOp, { problem: string }> | NamedOp;
    if (!('named' in op)) return op;
    return { key: op.key, collection: collectionNamed(op.named), reading: op.reading };
  }

  #creation(): ReadOp {
    const key = this.#take() as RecordKey;
    const collection = collectionNamed(this.#take() as string);
    const actor = this.#take() as string;
    const seq = this.#take() as number;
    const startOp = this.#take() as number;
    const time = this.#take() as number;
    const where = this.#take() as typeof GENESIS | readonly string[];
    const hash = this.#take() as string;
    const creates = this.#take() as boolean;
    const values = this.#take() as Readonly<Record<string, Scalar>>;
    const deps = where === GENESIS ? [genesisOf(collection).hash] : where;
    const ops: FieldOp[] = [];
    for (const [field, value] of Object.entries(values))
      ops.push({ action: 'set', field, value, pred: NONE });
    const change = { actor, seq, startOp, time, deps, ops, hash };
    return { key, collection, reading: { kind: 'change', change, creates } };
  }

  #take(): PackedOp {
    const op = this.#ops[this.#at++];
    if (op === undefined) throw new TypeError('ops are missing');
    return op;
  }
}

const NONE: FieldOp['pred'] = Object.freeze([]);

function collectionNamed(name: string): Collection {
  const collection = COLLECTIONS[name];
  if (collection === undefined) throw new TypeError(`${name} is no collection`);
  return collection;
}
