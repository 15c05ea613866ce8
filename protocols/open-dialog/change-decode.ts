import { hash as digestOf } from 'node:crypto';

import type { DecodedChange, FieldOp, OpId, Scalar } from './change-types.ts';
import { encodeWithoutChecksum } from './change-encode.ts';
import { Reader } from './column-reader.ts';
import { COLUMN, DEFLATE_BIT, MAX_CHUNK_BYTES, MAX_DEPS, MAX_PREDS, VALUE, refusal } from './columns.ts';
import { LIMITS } from '../wire/limits.ts';

const MAGIC = 0x856f4a83;
const NO_PREDS: readonly OpId[] = Object.freeze([]);

// Scratch, shared by all calls: one at a time, and nothing in it waits.
const actions = new Int32Array(LIMITS.changeOps);
const metas = new Int32Array(LIMITS.changeOps);
const predCounts = new Int32Array(LIMITS.changeOps);
const predActors = new Int32Array(MAX_PREDS);
const predDeltas = new Int32Array(MAX_PREDS);

/** The hash of a change: SHA-256 of its chunk from byte 8, in hex. The bytes are not checked. */
export function changeHash(bytes: Uint8Array): string {
  return digestOf('sha256', bytes.subarray(8), 'hex');
}

/**
 * Reads a change and accepts exactly what `encodeChange` gives. Throws AgrinetError: `change-too-large`,
 * `change-malformed`, `change-compressed`, `change-checksum`, `change-too-many-ops`, `change-unsupported` (Automerge
 * may know it, version 1 does not) or `change-not-canonical`.
 */
export function decodeChange(bytes: Uint8Array): DecodedChange {
  if (bytes.length > MAX_CHUNK_BYTES) throw refusal('change-too-large', 'A chunk is too large.');
  const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const reader = new Reader(chunk, 8, chunk.length);
  if (chunk.length < 10 || chunk.readUInt32BE(0) !== MAGIC) {
    throw refusal('change-malformed', 'These bytes are not an Automerge chunk.');
  }
  const type = reader.byte();
  if (type === 2) throw refusal('change-compressed', 'A compressed change is not allowed.');
  if (type !== 1) throw refusal('change-unsupported', 'A chunk is not a change.');
  if (reader.uint() !== reader.end - reader.pos) {
    throw refusal('change-malformed', 'The length of a chunk is not the length it states.');
  }
  const hash = changeHash(chunk);
  if (parseInt(hash.slice(0, 8), 16) !== chunk.readUInt32BE(4)) {
    throw refusal('change-checksum', 'The checksum of a chunk does not match.');
  }
  const change = readBody(reader, hash);
  const again = encodeWithoutChecksum(change);
  if (chunk.compare(again, 8, again.length, 8, chunk.length) !== 0) {
    throw refusal('change-not-canonical', 'A change is not in its one canonical encoding.');
  }
  return change;
}

function readBody(reader: Reader, hash: string): DecodedChange {
  const deps: string[] = [];
  const depCount = reader.uint();
  if (depCount > MAX_DEPS) throw refusal('change-too-large', 'A change has too many deps.');
  for (let left = depCount; left > 0; left -= 1) deps.push(reader.hex(32));
  const actor = readActor(reader);
  const seq = reader.uint();
  const startOp = reader.uint();
  const time = reader.int();
  if (reader.uint() !== 0) throw refusal('change-unsupported', 'A change has a message.');
  const actors = [actor];
  const others = reader.uint();
  if (others > MAX_PREDS) throw refusal('change-malformed', 'A change names more actors than predecessors.');
  for (let left = others; left > 0; left -= 1) actors.push(readActor(reader));
  const ops = readOps(readColumns(reader), actors);
  if (!reader.done) throw refusal('change-unsupported', 'Bytes follow the columns of a change.');
  return { actor, seq, startOp, time, deps, ops, hash };
}

function readActor(reader: Reader): string {
  if (reader.uint() !== 16) throw refusal('change-unsupported', 'An actor is not 16 bytes.');
  return reader.hex(16);
}

interface Columns {
  key: Reader;
  insert: Reader;
  action: Reader;
  meta: Reader;
  raw: Reader;
  group: Reader;
  predActor: Reader;
  predCounter: Reader;
}

function readColumns(reader: Reader): Columns {
  const lengths = { key: 0, insert: 0, action: 0, meta: 0, raw: 0, group: 0, predActor: 0, predCounter: 0 };
  let last = 0;
  // Eight are known; any more are out of order or unknown, which the loop reports at the first.
  for (let left = reader.uint(); left > 0; left -= 1) {
    const specifier = reader.uint();
    const length = reader.uint();
    const name = columnName(specifier);
    // Ascending also means each at most once, which bounds this loop.
    if (specifier <= last) throw refusal('change-malformed', 'The columns of a change are out of order.');
    last = specifier;
    lengths[name] = length;
  }
  return {
    key: reader.part(lengths.key),
    insert: reader.part(lengths.insert),
    action: reader.part(lengths.action),
    meta: reader.part(lengths.meta),
    raw: reader.part(lengths.raw),
    group: reader.part(lengths.group),
    predActor: reader.part(lengths.predActor),
    predCounter: reader.part(lengths.predCounter),
  };
}

function columnName(specifier: number): keyof Columns {
  switch (specifier) {
    case COLUMN.keyString:
      return 'key';
    case COLUMN.insert:
      return 'insert';
    case COLUMN.action:
      return 'action';
    case COLUMN.valueMeta:
      return 'meta';
    case COLUMN.valueRaw:
      return 'raw';
    case COLUMN.predGroup:
      return 'group';
    case COLUMN.predActor:
      return 'predActor';
    case COLUMN.predCounter:
      return 'predCounter';
    default:
      // Compressed columns get a code of their own, so that their sender learns what to switch off.
      if ((specifier & DEFLATE_BIT) !== 0) throw refusal('change-compressed', 'A column is compressed.');
      throw refusal('change-unsupported', 'A change has a column that version 1 does not know.');
  }
}

function readOps(columns: Columns, actors: readonly string[]): FieldOp[] {
  // How many operations there are is settled first: every other column may hold no more than that.
  const count = columns.action.runs(actions, LIMITS.changeOps, false, 'change-too-many-ops');
  const fields: string[] = [];
  whole(columns.key.textRuns(fields, count), count);
  readInsert(columns.insert, count);
  whole(columns.meta.runs(metas, count, false, 'change-malformed'), count);
  whole(columns.group.runs(predCounts, count, false, 'change-malformed'), count);
  let preds = 0;
  for (let i = 0; i < count; i += 1) preds += predCounts[i] ?? 0;
  if (preds > MAX_PREDS) throw refusal('change-too-many-ops', 'A change has too many predecessors.');
  whole(columns.predActor.runs(predActors, preds, false, 'change-malformed'), preds);
  whole(columns.predCounter.runs(predDeltas, preds, true, 'change-malformed'), preds);

  const ops: FieldOp[] = [];
  let at = 0;
  let counter = 0;
  for (let i = 0; i < count; i += 1) {
    const field = fields[i] ?? '';
    const meta = metas[i] ?? 0;
    let pred = NO_PREDS;
    const stop = at + (predCounts[i] ?? 0);
    if (at < stop) {
      const ids: OpId[] = [];
      for (; at < stop; at += 1) {
        const actor = actors[predActors[at] ?? 0];
        if (actor === undefined)
          throw refusal('change-malformed', 'A predecessor names no actor of the table.');
        counter += predDeltas[at] ?? 0;
        ids.push({ counter, actor });
      }
      pred = ids;
    }
    if (actions[i] === 1) {
      ops.push({ action: 'set', field, value: readScalar(columns.raw, meta), pred });
    } else if (actions[i] === 3) {
      if (meta !== VALUE.null) throw refusal('change-unsupported', 'A deletion has a value.');
      ops.push({ action: 'del', field, pred });
    } else {
      throw refusal('change-unsupported', 'A change holds an operation that is neither set nor del.');
    }
  }
  if (!columns.raw.done) throw refusal('change-malformed', 'A change holds bytes that belong to no value.');
  return ops;
}

function whole(found: number, expected: number): void {
  if (found !== expected) throw refusal('change-malformed', 'The columns of a change differ in length.');
}

/** The insert column alternates counts of false and true; every operation of a map is false. */
function readInsert(insert: Reader, count: number): void {
  const falses = insert.done ? 0 : insert.uint();
  if (!insert.done) throw refusal('change-unsupported', 'A change inserts into a list.');
  whole(falses, count);
}

function readScalar(raw: Reader, meta: number): Scalar {
  const length = meta >>> 4;
  switch (meta & 15) {
    case VALUE.null:
      return empty(length, null);
    case VALUE.false:
      return empty(length, false);
    case VALUE.true:
      return empty(length, true);
    case VALUE.string:
      return raw.text(length);
    case VALUE.int: {
      const start = raw.pos;
      const value = raw.int();
      whole(raw.pos - start, length);
      return value;
    }
    case VALUE.float64: {
      whole(length, 8);
      const value = raw.float64();
      if (!Number.isFinite(value)) throw refusal('change-unsupported', 'A number is not finite.');
      if (Number.isSafeInteger(value))
        throw refusal('change-not-canonical', 'A whole number is written as a float.');
      return value;
    }
    default:
      throw refusal('change-unsupported', 'A value has a type that version 1 does not know.');
  }
}

function empty<T extends Scalar>(length: number, value: T): T {
  if (length !== 0) throw refusal('change-malformed', 'A value that has no bytes states a length.');
  return value;
}
