import { CID } from 'multiformats/cid';
import { AgrinetError } from '../errors.ts';
import { sha256, sha256Hex } from '../wire/bytes.ts';
import { decodeCbor } from '../wire/cbor.ts';
import { type Channel, parseRecordKey, recordKey, type RecordKey } from '../wire/ids.ts';
import type { PeerId } from '../wire/identity.ts';
import { LIMITS } from '../wire/limits.ts';
import { type Change, decodeChange, type Scalar } from './change.ts';
import { type Checkpoint, checkpointOf, CHECKPOINTS } from '../feed/checkpoint.ts';
import { type Erasure, erasureOf } from '../feed/erasure.ts';
import { decodeOp, type Op } from '../feed/op.ts';
import { genesisOf } from './genesis.ts';
import { CONTENT_ID_LENGTH, contentId, decodeMembership } from './membership.ts';
import type { Membership, PlacedOp } from './record.ts';
import { COLLECTIONS, type Collection, collectionOf, fieldRule, OP_VERSION, valueProblem } from './schema.ts';

/** The content of an op that is valid by itself: everything that can be decided without any other op. */
export type Reading =
  | {
      readonly kind: 'change';
      readonly change: Change & { readonly hash: string };
      readonly creates: boolean;
    }
  | { readonly kind: 'members'; readonly members: Membership }
  | { readonly kind: 'fact'; readonly fields: Readonly<Record<string, Scalar>>; readonly hash: string }
  | { readonly kind: 'tombstone' }
  | { readonly kind: 'erasure'; readonly erasure: Erasure };

/** An op read by itself: its record, and its content or why it is not valid. */
export type ReadOp =
  | { readonly key: RecordKey; readonly collection: Collection; readonly reading: Reading }
  | {
      readonly key: RecordKey | undefined;
      readonly problem: string;
      readonly isPending: boolean;
      /** For a fact: it is applied, but is not an op of the record that it names. */
      readonly erasure?: Erasure;
      /** It is applied, and of no record. */
      readonly checkpoint?: Checkpoint;
    };

/** Used in place of a problem in an erasure that is not an op of a record. */
const ERASURE = 'erasure';
/** The same of a checkpoint. */
const CHECKPOINT = 'checkpoint';

const isVoid = (problem: string, key?: RecordKey): ReadOp => ({ key, problem, isPending: false });

/** The Automerge actor of an author's epoch on a record: first 16 bytes of the hash, hex. */
export function actorOf(author: PeerId, epoch: string, key: RecordKey): string {
  return sha256Hex(`${author}\n${epoch}\n${key}`).slice(0, 32);
}

/** Reads an op on its own, as the wire specification's section "Evaluation" orders the checks. Never throws for bad input. */
export function readOp(placed: PlacedOp): ReadOp {
  const op = decodeOp(placed.bytes);
  if (op === undefined) return isVoid('op-malformed');
  const collection = COLLECTIONS[op.c];
  if (op.v !== OP_VERSION) return { key: undefined, problem: 'op-version-unknown', isPending: true };
  if (op.c === CHECKPOINTS) return readCheckpointOp(placed, op);
  if (collection === undefined) return { key: undefined, problem: 'collection-unknown', isPending: true };
  switch (op.t) {
    case 'fact':
      return readFact(placed, op, collection);
    case 'create':
    case 'delta':
      return collection.kind === 'document'
        ? readDocumentOp(placed, op, collection)
        : isVoid('op-type-wrong');
    case 'tombstone':
      return readTombstone(placed, op, collection);
    case 'erase':
      return readErase(placed, op);
    default:
      return { key: undefined, problem: 'op-type-unknown', isPending: true };
  }
}

function keyOf(op: Op): { key: RecordKey; owner: PeerId } | undefined {
  const parts = parseRecordKey(`${op.c}/${op.k}`);
  return parts && { key: recordKey(parts.collection, parts.owner, parts.id), owner: parts.owner };
}

function channelAllowed(collection: Collection, placed: PlacedOp): boolean {
  const isPublic = placed.channel === 'public';
  return collection.channels === 'both' || (collection.channels === 'public') === isPublic;
}

function readFact(placed: PlacedOp, op: Op, collection: Collection): ReadOp {
  if (collection.kind !== 'fact') return isVoid('op-type-wrong');
  if (op.k !== '') return isVoid('key-malformed');
  const id = contentId(sha256(op.d), placed.channel);
  const key = recordKey(op.c, placed.author, id);
  if (!channelAllowed(collection, placed)) return isVoid('channel-wrong', key);
  const fields = factFields(collection, op.d);
  if (typeof fields === 'string') return isVoid(fields, key);
  return { key, collection, reading: { kind: 'fact', fields, hash: id } };
}

/** The fields of a fact's payload, or what is wrong with them. */
export function factFields(collection: Collection, d: Uint8Array): Record<string, Scalar> | string {
  let value: unknown;
  try {
    value = decodeCbor(d);
  } catch {
    return 'fact-malformed';
  }
  return fieldsOf(collection, value);
}

/** Copies the own keys of a decoded map into a null-prototype object of scalars, or says why that is not possible. */
function fieldsOf(collection: Collection, value: unknown): Record<string, Scalar> | string {
  // Bytes and links are objects too, but no maps.
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'fact-malformed';
  if (value instanceof Uint8Array || CID.asCID(value) !== null) return 'fact-malformed';
  const fields: Record<string, Scalar> = Object.create(null) as Record<string, Scalar>;
  for (const [field, item] of Object.entries(value) as [string, unknown][]) {
    const rule = fieldRule(collection, field);
    if (rule === undefined) return 'field-unknown';
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean')
      return 'value-invalid';
    if (valueProblem(rule, item) !== undefined) return 'value-invalid';
    fields[field] = item;
  }
  return collection.required.every((field) => Object.hasOwn(fields, field)) ? fields : 'field-missing';
}

function readTombstone(placed: PlacedOp, op: Op, collection: Collection): ReadOp {
  const at = keyOf(op);
  if (at === undefined) return isVoid('key-malformed');
  if (at.owner !== placed.author) return isVoid('not-owner', at.key);
  if (!inItsChannel(collection, placed, at.key)) return isVoid('channel-wrong', at.key);
  // A private fact's tombstone shows by the fact's hash that the fact belongs to this very channel.
  const secret = collection.kind === 'fact' && placed.channel !== 'public';
  if (op.d.length !== (secret ? 32 : 0)) return isVoid('tombstone-malformed', at.key);
  if (secret && at.key !== recordKey(op.c, at.owner, contentId(op.d, placed.channel)))
    return isVoid('channel-wrong', at.key);
  return { key: at.key, collection, reading: { kind: 'tombstone' } };
}

/** An erasure of a document is one of its ops and ends it. That of a fact is not, because a fact's key does not tell its channel. */
function readErase(placed: PlacedOp, op: Op): ReadOp {
  try {
    const erasure = erasureOf(op, placed);
    const key = erasure.record;
    const collection = collectionOf(key);
    return collection?.kind === 'document'
      ? { key, collection, reading: { kind: 'erasure', erasure } }
      : { key: undefined, problem: ERASURE, isPending: false, erasure };
  } catch (error) {
    return isVoid(error instanceof AgrinetError ? error.code : 'erasure-malformed');
  }
}

function readCheckpointOp(placed: PlacedOp, op: Op): ReadOp {
  if (op.t !== 'checkpoint') return { key: undefined, problem: 'op-type-unknown', isPending: true };
  try {
    const checkpoint = checkpointOf(op, placed);
    return { key: undefined, problem: CHECKPOINT, isPending: false, checkpoint };
  } catch (error) {
    return isVoid(error instanceof AgrinetError ? error.code : 'checkpoint-malformed');
  }
}

/** Whether an op has effect on a record that an erasure has ended. */
export function outlastsErasure({ kind }: Reading): boolean {
  return kind === 'tombstone' || kind === 'erasure';
}

/** The only channel in which a document's ops can have effect; undefined for anything but a document. */
export function documentChannel(key: RecordKey): Channel | undefined {
  const collection = collectionOf(key);
  if (collection?.kind !== 'document') return undefined;
  const isPrivate =
    collection.channels === 'private' ||
    (collection.channels === 'both' && idLength(key) === CONTENT_ID_LENGTH);
  return isPrivate ? key : 'public';
}

const idLength = (key: RecordKey): number => key.length - key.lastIndexOf('/') - 1;

/** A document is in the public channel or in the channel named after it; a private fact's own channel is checked by its place. */
function inItsChannel(collection: Collection, placed: PlacedOp, key: RecordKey): boolean {
  if (!channelAllowed(collection, placed)) return false;
  // Where both are allowed, ids as long as a hash are those of private records: no record has ops in two channels.
  if (placed.channel === 'public' && collection.channels === 'both' && idLength(key) === CONTENT_ID_LENGTH)
    return false;
  return placed.channel === 'public' || collection.kind === 'fact' || placed.channel === key;
}

function readDocumentOp(placed: PlacedOp, op: Op, collection: Collection): ReadOp {
  if (op.t === 'create' && placed.channel !== 'public') return readMembers(placed, op, collection);
  const at = keyOf(op);
  if (at === undefined) return isVoid('key-malformed');
  if (!inItsChannel(collection, placed, at.key)) return isVoid('channel-wrong', at.key);
  if (placed.channel === 'public' && at.owner !== placed.author) return isVoid('not-owner', at.key);
  let change: Change & { readonly hash: string };
  try {
    change = decodeChange(op.d);
  } catch (error) {
    return isVoid(error instanceof AgrinetError ? error.code : 'change-malformed', at.key);
  }
  const creates = op.t === 'create';
  const problem = changeProblem(placed, at.key, collection, change, creates);
  if (problem !== undefined) return isVoid(problem, at.key);
  return { key: at.key, collection, reading: { kind: 'change', change, creates } };
}

function readMembers(placed: PlacedOp, op: Op, collection: Collection): ReadOp {
  if (op.k !== '') return isVoid('key-malformed');
  const key = recordKey(op.c, placed.author, contentId(sha256(op.d)));
  if (collection.channels === 'public' || placed.channel !== key) return isVoid('channel-wrong', key);
  const members = decodeMembership(op.d);
  if (members === undefined || members.writers.length > (collection.writers ?? LIMITS.participants))
    return isVoid('members-malformed', key);
  if (members.owner !== placed.author) return isVoid('not-owner', key);
  return { key, collection, reading: { kind: 'members', members } };
}

function changeProblem(
  placed: PlacedOp,
  key: RecordKey,
  collection: Collection,
  change: Change,
  creates: boolean,
): string | undefined {
  if (change.actor !== actorOf(placed.author, placed.epoch, key)) return 'actor-foreign';
  // Only the genesis has none: without them a document could begin without what its creation must set.
  if (change.deps.length === 0) return 'deps-missing';
  const genesis = genesisOf(collection).hash;
  const first = change.deps.length === 1 && change.deps[0] === genesis;
  if (placed.channel === 'public' && creates !== first)
    return creates ? 'create-not-first' : 'delta-without-create';
  const fields = new Set<string>();
  for (const { action, field, value } of change.ops) {
    if (fields.has(field)) return 'field-twice';
    fields.add(field);
    const rule = fieldRule(collection, field);
    if (rule === undefined) return 'field-unknown';
    if (action === 'del') {
      if (collection.required.includes(field)) return 'field-required';
    } else if (value === undefined || valueProblem(rule, value) !== undefined) return 'value-invalid';
  }
  if (creates && !collection.required.every((field) => fields.has(field))) return 'field-missing';
  return undefined;
}
