import { AgrinetError } from '../errors.ts';
import { hex, sha256Hex, fromHex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import { type EnvelopeType, verifyEnvelope, readEnvelope, signEnvelope } from '../wire/envelope.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import { type Channel, isChannel, parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { type BodyItem, type Entry, withBody } from './entry.ts';
import type { Op } from './op.ts';

/** The purpose of an erasure's signature. */
export const ERASURE_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-erasure',
  payloadType: new TextEncoder().encode('/agrinet/erasure/1'),
};

/** Largest statement: one entry's ops, each an index and a hash. */
export const ERASURE_BYTES = 49_152;

/** One op by its place in the body, and its SHA-256, hex. */
export interface ErasedOp {
  readonly index: number;
  readonly hash: string;
}

/** What an author signs to remove ops from one of its entries: wherever the entry is held, they are replaced by their hashes. */
export interface ErasureStatement {
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  /** The record that the ops are of: a message in a conversation, or a listing. */
  readonly record: RecordKey;
  /** Ascending by index. */
  readonly ops: readonly ErasedOp[];
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A statement that was read and whose signature holds. */
export interface Erasure extends ErasureStatement {
  readonly bytes: Uint8Array;
  readonly author: PeerId;
  /** SHA-256 of the payload, hex: its name, whatever signature it carries. */
  readonly id: string;
}

const KEYS = ['v', 'author', 'channel', 'epoch', 'seq', 'record', 'ops', 'time'] as const;

/** Signs an erasure. */
export function signErasure(identity: Identity, statement: ErasureStatement): Uint8Array {
  const payload = encodeCbor({
    v: 1,
    author: identity.peerId,
    channel: statement.channel,
    epoch: fromHex(statement.epoch),
    seq: statement.seq,
    record: statement.record,
    ops: statement.ops.map(({ index, hash }) => [index, fromHex(hash)]),
    time: statement.time,
  });
  return signEnvelope(identity, ERASURE_ENVELOPE, payload);
}

/**
 * Reads and verifies. Throws `erasure-malformed`, `evidence-kept` for what cannot be erased, `not-canonical`, `envelope-malformed`
 * or `signature-invalid`. Whether the named ops belong to the record is known only to those who hold them.
 */
export function verifyErasure(bytes: Uint8Array): Erasure {
  return read(bytes, verifyEnvelope);
}

/** Reads a statement without its signature: what was verified before it was kept. Throws the same but `signature-invalid`. */
export function readErasure(bytes: Uint8Array): Erasure {
  return read(bytes, readEnvelope);
}

function read(bytes: Uint8Array, open: typeof verifyEnvelope): Erasure {
  const malformed = (why: string): AgrinetError => new AgrinetError('erasure-malformed', `erasure: ${why}`);
  if (bytes.length > ERASURE_BYTES) throw malformed('too long');
  const envelope = open(ERASURE_ENVELOPE, bytes);
  const map = mapOf(decodeCbor(envelope.payload), KEYS);
  if (map === undefined || map.v !== 1) throw malformed('wrong fields');
  const { author } = envelope;
  const { channel, record } = map;
  const epoch = bytesOf(map.epoch, 8);
  const seq = integer(map.seq, 1, LIMITS.feedEntries);
  const time = integer(map.time, 0);
  if (map.author !== author) throw malformed('signed by another');
  if (!isChannel(channel)) throw malformed('channel');
  const key = parseRecordKey(record);
  if (epoch === undefined || seq === undefined || time === undefined || key === undefined)
    throw malformed('a field has the wrong type or size');
  // Whoever could erase in another's name, or in a contract, could take away what others hold as evidence.
  if (key.owner !== author || !isErasable(key.collection, channel))
    throw new AgrinetError(
      'evidence-kept',
      'only your own messages and listings can be erased; what others rely on as evidence is kept',
    );
  return {
    bytes,
    author,
    id: sha256Hex(envelope.payload),
    channel,
    epoch: hex(epoch),
    seq,
    record: record as RecordKey, // parsed above
    ops: opsOf(map.ops, malformed),
    time,
  };
}

/**
 * The erasure that an `erase` op carries, of the author and in the channel of its entry. Throws what `openErasure` throws,
 * `erasure-malformed` for an op of another shape, and `erasure-foreign`.
 */
export function erasureOf({ c, k, d }: Op, at: { author: PeerId; channel: Channel }): Erasure {
  if (k !== '') throw new AgrinetError('erasure-malformed', 'erasure: the op names a record');
  const erasure = verifyErasure(d);
  if (c !== parseRecordKey(erasure.record)?.collection)
    throw new AgrinetError('erasure-malformed', 'erasure: the op names another collection');
  if (erasure.author !== at.author || erasure.channel !== at.channel)
    throw new AgrinetError('erasure-foreign', 'erasure: of another feed or channel');
  return erasure;
}

/** What can be erased: messages of a conversation and public listings. The channel of a contract keeps everything. */
export function isErasable(collection: string, channel: Channel): boolean {
  if (channel === 'public') return collection === 'listings';
  return collection === 'messages' && channel.startsWith('conversations/');
}

function opsOf(value: unknown, malformed: (why: string) => AgrinetError): ErasedOp[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > LIMITS.entryOps) throw malformed('ops');
  let last = -1;
  return value.map((item: unknown) => {
    if (!Array.isArray(item) || item.length !== 2) throw malformed('ops');
    const index = integer(item[0], last + 1, LIMITS.entryOps - 1);
    const hash = bytesOf(item[1], 32);
    if (index === undefined || hash === undefined) throw malformed('ops');
    last = index;
    return { index, hash: hex(hash) };
  });
}

/** The place of an entry: what an erasure and an entry are matched by. */
export function placeOf(at: { author: PeerId; channel: Channel; epoch: string; seq: number }): string {
  return `${at.author}|${at.channel}|${at.epoch}|${at.seq}`;
}

/** The place of a whole entry. */
export function entryPlace({ author, header: { channel, epoch, seq } }: Entry): string {
  return placeOf({ author, channel, epoch, seq });
}

/** Whether every op that is missing from an entry has its author's word: statements of this very place. */
export function isProven(entry: Entry, erasures: readonly Erasure[]): boolean {
  const named = new Set(erasures.flatMap(({ ops }) => ops.map(opName)));
  return entry.body.every(
    (item, index) => 'op' in item || named.has(opName({ index, hash: hex(item.erased) })),
  );
}

/** An op of a place by index and hash, as text. */
export function opName({ index, hash }: ErasedOp): string {
  return `${index} ${hash}`;
}

/** The entry with these ops replaced by their hashes; envelope, header, root and hash stay as they are. */
export function withoutOps(entry: Entry, erased: ReadonlySet<number>): Entry {
  const body = entry.body.map((item, index): BodyItem =>
    'op' in item && erased.has(index) ? { erased: fromHex(sha256Hex(item.op)) } : item,
  );
  return withBody(entry, body);
}
