import { AgrinetError } from '../errors.ts';
import { type FrontierItem, frontierItemCbor, readFrontierItem } from './frontier.ts';
import type { Op } from './op.ts';
import { fromHex, hex, sha256Hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import { type EnvelopeType, verifyEnvelope, readEnvelope, signEnvelope } from '../wire/envelope.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';

/** Bounds of a checkpoint and of its chunks. `protocols/README.md` shows the same table. */
export const CHECKPOINT_LIMITS = {
  /** One statement in its envelope: all its covers fit, and it fits into an op. */
  statementBytes: 45_056,
  /** Epochs in its covers; those that a covered one names are not among them, so most have one. */
  covers: 512,
  /** Checkpoints that one takes the place of: as many as clones of a node can have made at once. */
  prev: 8,
  /** The largest `gen`: an author that signs it has no next one. */
  generations: 0xffff_ffff,
  /** A chunk; an item that is larger is one by itself. So many of them are read and checked at a time. */
  chunkBytes: 256 * 1024,
  /** Items in one chunk: with the hash of each that was erased they are below the data items of a payload. */
  chunkItems: 2000,
  /** One item: an entry, as evidence, and what is around it. */
  itemBytes: 1024 * 1024 + 64,
  /** Values of a record in one item; further ones stand in the next. */
  values: 512,
  /** UTF-8 bytes of the texts among these values, and 64 for each; one larger value stands alone. */
  valueBytes: 65_536,
} as const;

/** The purpose of a checkpoint's signature. */
export const CHECKPOINT_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-checkpoint',
  payloadType: new TextEncoder().encode('/agrinet/checkpoint/1'),
};

/** The collection that `checkpoint` ops name. It has no records. */
export const CHECKPOINTS = 'checkpoints';

/** What an author signs of its public records as they stood at some places of its feeds. Hashes and epochs are hex here, bytes on the wire. */
export interface CheckpointStatement {
  /** The network: a statement stands by itself, and one of another network would count here. */
  readonly net: string;
  /** One more than the largest of those it follows; 1 without any. */
  readonly gen: number;
  /** Checkpoints that it takes the place of, by their ids, ascending. */
  readonly prev: readonly string[];
  /** The checkpoint above whose floors its own records were evaluated, by its id; undefined for one that began at the genesis of each. */
  readonly upon: string | undefined;
  /** The frontier of the covered entries, ascending by epoch. */
  readonly covers: readonly FrontierItem[];
  /** Owner digest of the covered records, hex. */
  readonly digest: string;
  /** Covered records that have an element in it. */
  readonly count: number;
  /** Of all chunks, those of the evidence included. */
  readonly bytes: number;
  /** Root of the chunks, hex. */
  readonly chunks: string;
  /** Entries that stay as evidence, and the root of their chunks. */
  readonly evidence: { readonly count: number; readonly root: string };
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A statement that was read. */
export interface Checkpoint extends CheckpointStatement {
  readonly author: PeerId;
  /** SHA-256 of the payload, hex: its name, whatever signature it carries. */
  readonly id: string;
  /** The envelope. */
  readonly signed: Uint8Array;
}

/** Signs a checkpoint. */
export function signCheckpoint(identity: Identity, statement: CheckpointStatement): Uint8Array {
  const { net, gen, prev, upon, covers, digest, count, bytes, chunks, evidence, time } = statement;
  const payload = encodeCbor({
    v: 1,
    net,
    gen,
    prev: prev.map(fromHex),
    upon: upon === undefined ? null : fromHex(upon),
    covers: covers.map(frontierItemCbor),
    digest: fromHex(digest),
    count,
    bytes,
    chunks: fromHex(chunks),
    evidence: { count: evidence.count, root: fromHex(evidence.root) },
    time,
  });
  return signEnvelope(identity, CHECKPOINT_ENVELOPE, payload);
}

/** Reads and verifies. Throws `checkpoint-malformed`, `not-canonical`, `envelope-malformed` or `signature-invalid`. */
export function verifyCheckpoint(bytes: Uint8Array): Checkpoint {
  return read(bytes, verifyEnvelope);
}

/** Reads a statement without its signature: what was verified before it was kept. Throws the same but `signature-invalid`. */
export function readCheckpoint(bytes: Uint8Array): Checkpoint {
  return read(bytes, readEnvelope);
}

/**
 * The statement that a `checkpoint` op carries, of the author of its entry. Throws what `verifyCheckpoint` throws, `checkpoint-malformed`
 * for an op of another shape, and `checkpoint-foreign`.
 */
export function checkpointOf({ k, d }: Op, at: { author: PeerId; channel: Channel }): Checkpoint {
  if (k !== '') throw malformed('the op names a record');
  const checkpoint = verifyCheckpoint(d);
  if (checkpoint.author !== at.author || at.channel !== 'public')
    throw new AgrinetError('checkpoint-foreign', 'checkpoint: of another feed, or in a private channel');
  return checkpoint;
}

const KEYS = [
  'v',
  'net',
  'gen',
  'prev',
  'upon',
  'covers',
  'digest',
  'count',
  'bytes',
  'chunks',
  'evidence',
  'time',
] as const;

function malformed(why: string): AgrinetError {
  return new AgrinetError('checkpoint-malformed', `checkpoint: ${why}`);
}

function read(bytes: Uint8Array, open: typeof verifyEnvelope): Checkpoint {
  if (bytes.length > CHECKPOINT_LIMITS.statementBytes) throw malformed('too long');
  const envelope = open(CHECKPOINT_ENVELOPE, bytes);
  const map = mapOf(decodeCbor(envelope.payload), KEYS);
  if (map === undefined || map.v !== 1) throw malformed('wrong fields');
  if (typeof map.net !== 'string' || map.net.length > 32) throw malformed('net');
  const evidence = mapOf(map.evidence, ['count', 'root'] as const);
  return {
    net: map.net,
    gen: whole(map.gen, 1, CHECKPOINT_LIMITS.generations),
    prev: prevOf(map.prev),
    upon: map.upon === null ? undefined : hash(map.upon),
    covers: coversOf(map.covers),
    digest: hash(map.digest),
    count: whole(map.count),
    bytes: whole(map.bytes),
    chunks: hash(map.chunks),
    evidence: { count: whole(evidence?.count), root: hash(evidence?.root) },
    time: whole(map.time),
    author: envelope.author,
    id: sha256Hex(envelope.payload),
    signed: bytes,
  };
}

function whole(value: unknown, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  const number = integer(value, min, max);
  if (number === undefined) throw malformed('a number that is none, or beyond its bounds');
  return number;
}

function hash(value: unknown): string {
  const bytes = bytesOf(value, 32);
  if (bytes === undefined) throw malformed('a hash that is none');
  return hex(bytes);
}

function prevOf(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > CHECKPOINT_LIMITS.prev) throw malformed('prev');
  const prev = value.map(hash);
  if (prev.some((id, i) => i > 0 && id <= (prev[i - 1] ?? ''))) throw malformed('prev is not ascending');
  return prev;
}

/** The items of a frontier, ascending by epoch, each once. */
function coversOf(value: unknown): FrontierItem[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > CHECKPOINT_LIMITS.covers)
    throw malformed('covers');
  let last = '';
  return value.map((item: unknown) => {
    const cover = readCover(item);
    if (cover === undefined) throw malformed('covers');
    if (cover.epoch <= last) throw malformed('covers are not ascending');
    last = cover.epoch;
    return cover;
  });
}

/** A cover as it stands in a statement and in a chunk: at 0 only a forked epoch, and no other without a hash. Undefined for anything else. */
export function readCover(item: unknown): FrontierItem | undefined {
  const cover = readFrontierItem(item);
  if (cover === undefined) return undefined;
  return (cover.seq === 0 ? cover.fork === undefined : cover.hash === '') ? undefined : cover;
}
