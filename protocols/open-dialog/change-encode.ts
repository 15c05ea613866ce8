import { hash } from 'node:crypto';

import type { Change, FieldOp, OpId, Scalar } from './change-types.ts';
import { Writer } from './column-writer.ts';
import { COLUMN, MAX_CHUNK_BYTES, MAX_COUNTER, MAX_DEPS, MAX_PREDS, VALUE, refusal } from './columns.ts';
import { LIMITS } from '../wire/limits.ts';

/** Bytes kept free before a chunk's body: magic, checksum, type and the longest length that is allowed. */
const BODY_AT = 16;
const ACTOR = /^[0-9a-f]{32}$/;
const HASH = /^[0-9a-f]{64}$/;

// One call at a time and nothing in it waits, so all changes share this memory.
const chunk = new Writer();
const columns = new Writer();
const values = new Writer();
const metas = new Int32Array(LIMITS.changeOps);
const actions = new Int32Array(LIMITS.changeOps);
const predCounts = new Int32Array(LIMITS.changeOps);
const predActors = new Int32Array(MAX_PREDS);
const predDeltas = new Int32Array(MAX_PREDS);

/** The chunk of a change, and its hash. Throws AgrinetError, with the codes of `decodeChange`, for what has no encoding. */
export function encodeWithHash(change: Change): { readonly bytes: Uint8Array; readonly hash: string } {
  const bytes = new Uint8Array(encodeWithoutChecksum(change));
  const digest = hash('sha256', bytes.subarray(8), 'hex');
  Buffer.from(bytes.buffer).write(digest, 4, 4, 'hex');
  return { bytes, hash: digest };
}

/** The chunk of a change alone. */
export function encodeChange(change: Change): Uint8Array {
  return encodeWithHash(change).bytes;
}

/** The chunk with an unset checksum, in memory that the next call overwrites. */
export function encodeWithoutChecksum(change: Change): Buffer {
  const { ops } = change;
  checkNumbers(change);
  const others = otherActors(change);

  chunk.reset(BODY_AT);
  writeHashes(change.deps);
  writeActor(change.actor);
  chunk.uint(change.seq);
  chunk.uint(change.startOp);
  chunk.int(change.time);
  chunk.uint(0); // no message
  chunk.uint(others.length);
  for (const actor of others) writeActor(actor);

  if (ops.length === 0) chunk.uint(0);
  else writeColumns(change, others);
  return finishChunk();
}

function finishChunk(): Buffer {
  const length = chunk.pos - BODY_AT;
  const start = BODY_AT - (length < 0x80 ? 10 : length < 0x4000 ? 11 : 12);
  if (length + BODY_AT - start > MAX_CHUNK_BYTES) {
    throw refusal('change-too-large', 'A change does not fit into one chunk.');
  }
  chunk.bytes.writeUInt32BE(0x856f4a83, start);
  chunk.bytes.writeUInt32BE(0, start + 4);
  chunk.bytes[start + 8] = 1;
  const end = chunk.pos;
  chunk.pos = start + 9;
  chunk.uint(length);
  return chunk.bytes.subarray(start, end);
}

function checkNumbers({ seq, startOp, time, ops }: Change): void {
  if (ops.length > LIMITS.changeOps)
    throw refusal('change-too-many-ops', 'A change has too many operations.');
  if (!Number.isSafeInteger(seq) || seq < 1 || seq > MAX_COUNTER)
    throw refusal('change-malformed', 'seq is out of range.');
  if (!Number.isSafeInteger(time) || Object.is(time, -0)) {
    throw refusal('change-malformed', 'time is not a safe integer.');
  }
  // The last operation must have an id that a later change can name.
  const lastOp = startOp + Math.max(ops.length, 1) - 1;
  if (!Number.isSafeInteger(startOp) || startOp < 1 || lastOp > MAX_COUNTER) {
    throw refusal('change-malformed', 'startOp is out of range.');
  }
}

function writeActor(actor: string): void {
  if (!ACTOR.test(actor)) throw refusal('change-malformed', 'An actor is not 32 hex digits.');
  chunk.uint(16);
  chunk.hex(actor);
}

function writeHashes(deps: readonly string[]): void {
  if (deps.length > MAX_DEPS) throw refusal('change-too-large', 'A change has too many deps.');
  const sorted = deps.length > 1 ? deps.toSorted(byText) : deps;
  chunk.uint(sorted.length);
  for (const [i, dep] of sorted.entries()) {
    if (!HASH.test(dep)) throw refusal('change-malformed', 'A dep is not 64 hex digits.');
    if (i > 0 && dep === sorted[i - 1]) throw refusal('change-malformed', 'A dep is named twice.');
    chunk.hex(dep);
  }
}

/** The actors that predecessors name besides the change's own, in the order of their table. */
function otherActors({ actor, ops }: Change): string[] {
  let found: Set<string> | undefined;
  let preds = 0;
  for (const { pred } of ops) {
    preds += pred.length;
    if (preds > MAX_PREDS) throw refusal('change-too-many-ops', 'A change has too many predecessors.');
    for (const id of pred) {
      if (id.actor !== actor) (found ??= new Set()).add(id.actor);
    }
  }
  return found === undefined ? [] : [...found].sort(byText);
}

function writeColumns({ actor, ops }: Change, others: readonly string[]): void {
  const count = ops.length;
  const fields: string[] = [];
  values.reset();
  for (const [i, op] of ops.entries()) {
    fields.push(op.field);
    actions[i] = op.action === 'set' ? 1 : 3;
    metas[i] = writeValue(op);
    predCounts[i] = op.pred.length;
  }
  const preds = collectPreds(actor, ops, others);

  columns.reset();
  columns.textRuns(fields, count);
  const keysEnd = columns.pos;
  columns.uint(count); // the insert column: one run of false
  const insertEnd = columns.pos;
  columns.runs(actions, count, false);
  const actionEnd = columns.pos;
  columns.runs(metas, count, false);
  const metaEnd = columns.pos;
  if (metaEnd + values.pos > MAX_CHUNK_BYTES)
    throw refusal('change-too-large', 'A change does not fit into one chunk.');
  columns.copy(values);
  const rawEnd = columns.pos;
  columns.runs(predCounts, count, false);
  const groupEnd = columns.pos;
  columns.runs(predActors, preds, false);
  const predActorEnd = columns.pos;
  columns.runs(predDeltas, preds, true);

  chunk.uint(5 + (values.pos > 0 ? 1 : 0) + (preds > 0 ? 2 : 0)); // an empty column is left out
  writeColumn(COLUMN.keyString, keysEnd);
  writeColumn(COLUMN.insert, insertEnd - keysEnd);
  writeColumn(COLUMN.action, actionEnd - insertEnd);
  writeColumn(COLUMN.valueMeta, metaEnd - actionEnd);
  writeColumn(COLUMN.valueRaw, rawEnd - metaEnd);
  writeColumn(COLUMN.predGroup, groupEnd - rawEnd);
  writeColumn(COLUMN.predActor, predActorEnd - groupEnd);
  writeColumn(COLUMN.predCounter, columns.pos - predActorEnd);
  chunk.copy(columns);
}

function writeColumn(specifier: number, length: number): void {
  if (length === 0) return;
  chunk.uint(specifier);
  chunk.uint(length);
}

/** Appends a value's bytes and answers its meta. */
function writeValue(op: FieldOp): number {
  const { value } = op;
  if (op.action === 'del') {
    if (value !== undefined) throw refusal('change-malformed', 'A deletion has a value.');
    return VALUE.null;
  }
  if (value === undefined) throw refusal('change-malformed', 'A set has no value.');
  return writeScalar(value);
}

function writeScalar(value: Scalar): number {
  const start = values.pos;
  if (typeof value === 'string') return values.text(value) * 16 + VALUE.string;
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || Object.is(value, -0)) {
      throw refusal('change-unsupported', 'A number is not finite, or is minus zero.');
    }
    if (!Number.isSafeInteger(value)) {
      values.float64(value);
      return 8 * 16 + VALUE.float64;
    }
    values.int(value);
    return (values.pos - start) * 16 + VALUE.int;
  }
  if (value === null) return VALUE.null;
  return value ? VALUE.true : VALUE.false;
}

/** Fills `predActors` and `predDeltas`; an actor is its place in the table, 0 being the change's own. */
function collectPreds(own: string, ops: readonly FieldOp[], others: readonly string[]): number {
  const places = others.length === 0 ? undefined : new Map(others.map((actor, i) => [actor, i + 1]));
  let count = 0;
  let last = 0;
  for (const op of ops) {
    const pred = op.pred.length > 1 ? op.pred.toSorted(byOpId) : op.pred;
    let before: OpId | undefined;
    for (const id of pred) {
      if (!Number.isSafeInteger(id.counter) || id.counter < 1 || id.counter > MAX_COUNTER) {
        throw refusal('change-malformed', 'A predecessor has a counter out of range.');
      }
      if (before !== undefined && byOpId(before, id) === 0) {
        throw refusal('change-malformed', 'A predecessor is named twice.');
      }
      predActors[count] = id.actor === own ? 0 : (places?.get(id.actor) ?? 0);
      predDeltas[count] = id.counter - last;
      last = id.counter;
      before = id;
      count += 1;
    }
  }
  return count;
}

/** The order of ids in a chunk; of lower-case hex of one length it is the order of the bytes. */
function byOpId(a: OpId, b: OpId): number {
  return a.counter - b.counter || byText(a.actor, b.actor);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
