import { AgrinetError } from '../errors.ts';
import { type FrontierItem, frontierItemCbor } from '../feed/frontier.ts';
import { readCover } from '../feed/checkpoint.ts';
import { fromHex, hex, sha256Hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import { type EnvelopeType, signEnvelope, verifyEnvelope } from '../wire/envelope.ts';
import { type Identity, parsePeerId, type PeerId } from '../wire/identity.ts';

/** Bounds of rotations. `protocols/README.md` shows the same table. */
export const ROTATION_LIMITS = {
  /** One rotation with both envelopes: all that it may name fits. */
  bytes: 32_768,
  /** Epochs in a cut; those that a named one covers are not among them, so most have one. */
  cut: 128,
  /** Epochs of others' feeds that were seen, of all authors together. What is left out needs the new key's word again. */
  seen: 128,
  /** Rotations of one node, one after the other: a new key every month for two decades. */
  generations: 256,
  /** Equal rivals that are told apart; with more than these, nothing of the key that signed them counts. */
  rivals: 8,
} as const;

/** What the new key signs: the statement itself. */
export const ROTATION_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-rotation',
  payloadType: new TextEncoder().encode('/agrinet/rotation/1'),
};

/** What the key before it, or the recovery key, signs around that. */
export const ROTATION_GRANT_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-rotation-grant',
  payloadType: new TextEncoder().encode('/agrinet/rotation-grant/1'),
};

/** How far an author's public feeds had been seen. */
export interface SeenFeeds {
  readonly author: PeerId;
  readonly items: readonly FrontierItem[];
}

/** A node's key gives way to another. Hashes and epochs are hex here, bytes on the wire. */
export interface RotationStatement {
  readonly net: string;
  /** The node: the peer id of its first key. */
  readonly node: PeerId;
  /** 1 for its first rotation. */
  readonly gen: number;
  /** Id of the rotation that made the key before; undefined at 1. */
  readonly prev?: string | undefined;
  /** The new key, as its peer id. */
  readonly to: PeerId;
  /** SHA-256 of the recovery key that is committed to from here on. */
  readonly recovery: string;
  /** The frontier of the public feeds of the key before: what it signed beyond has no effect. */
  readonly cut: readonly FrontierItem[];
  /** Ascending by author. */
  readonly seen: readonly SeenFeeds[];
  /** Milliseconds since 1970; for display alone. */
  readonly time: number;
}

/** A rotation that was read. */
export interface Rotation extends RotationStatement {
  /** SHA-256 of the statement, hex: its name, whoever granted it. */
  readonly id: string;
  /** Who granted it: the key before, or the recovery key. */
  readonly grantor: PeerId;
  /** SHA-256 of the grantor's public key, hex: what a commitment to it says. */
  readonly grantorHash: string;
  /** Both envelopes. */
  readonly signed: Uint8Array;
}

/** What commits to a recovery key: SHA-256 of its public key, hex. */
export function recoveryHash({ publicKey }: Pick<Identity, 'publicKey'>): string {
  return sha256Hex(publicKey);
}

/** Signs a rotation by the new key, and around that by the one that grants it. */
export function signRotation(
  keys: { readonly to: Identity; readonly grantor: Identity },
  statement: Omit<RotationStatement, 'to'>,
): Uint8Array {
  const { net, node, gen, prev, recovery, cut, seen, time } = statement;
  const payload = encodeCbor({
    v: 1,
    net,
    id: node,
    gen,
    prev: prev === undefined ? null : fromHex(prev),
    to: keys.to.peerId,
    recovery: fromHex(recovery),
    cut: cut.map(frontierItemCbor),
    seen: seen.map(({ author, items }) => [author, items.map(frontierItemCbor)]),
    time,
  });
  const accepted = signEnvelope(keys.to, ROTATION_ENVELOPE, payload);
  return signEnvelope(keys.grantor, ROTATION_GRANT_ENVELOPE, encodeCbor(accepted));
}

/**
 * Reads and verifies both envelopes and the statement; whether the grantor may grant it follows from the node's line alone (`line.ts`).
 * Throws `rotation-malformed`, `not-canonical`, `envelope-malformed`, `signature-invalid` or `network-wrong`.
 */
export function verifyRotation(bytes: Uint8Array, net: string): Rotation {
  if (bytes.length > ROTATION_LIMITS.bytes) throw malformed('too long');
  const grant = verifyEnvelope(ROTATION_GRANT_ENVELOPE, bytes);
  const inner = decodeCbor(grant.payload);
  if (!(inner instanceof Uint8Array)) throw malformed('the grant is not over an envelope');
  const { author, payload } = verifyEnvelope(ROTATION_ENVELOPE, inner);
  const statement = statementOf(payload);
  if (statement.to !== author) throw malformed('the new key did not sign it');
  if (grant.author === statement.to) throw malformed('granted by the new key itself');
  if (statement.net !== net)
    throw new AgrinetError('network-wrong', 'rotation: of a node in another network');
  const grantorHash = recoveryHash(grant);
  return { ...statement, id: sha256Hex(payload), grantor: grant.author, grantorHash, signed: bytes };
}

const KEYS = ['v', 'net', 'id', 'gen', 'prev', 'to', 'recovery', 'cut', 'seen', 'time'] as const;

function malformed(why: string): AgrinetError {
  return new AgrinetError('rotation-malformed', `rotation: ${why}`);
}

function statementOf(payload: Uint8Array): RotationStatement {
  const map = mapOf(decodeCbor(payload), KEYS);
  if (map === undefined || map.v !== 1) throw malformed('wrong fields');
  if (typeof map.net !== 'string' || map.net.length > 32) throw malformed('net');
  const [node, to] = [parsePeerId(map.id), parsePeerId(map.to)];
  if (node === undefined || to === undefined || node === to) throw malformed('id or to');
  const gen = integer(map.gen, 1, ROTATION_LIMITS.generations);
  const time = integer(map.time, 0);
  if (gen === undefined || time === undefined) throw malformed('gen or time');
  if ((map.prev === null) !== (gen === 1)) throw malformed('prev');
  return {
    net: map.net,
    node,
    gen,
    prev: map.prev === null ? undefined : hashOf(map.prev),
    to,
    recovery: hashOf(map.recovery),
    cut: itemsOf(map.cut, ROTATION_LIMITS.cut),
    seen: seenOf(map.seen),
    time,
  };
}

function hashOf(value: unknown): string {
  const bytes = bytesOf(value, 32);
  if (bytes === undefined) throw malformed('a hash that is none');
  return hex(bytes);
}

/** The items of a frontier, ascending by epoch, each once. */
function itemsOf(value: unknown, most: number): FrontierItem[] {
  if (!Array.isArray(value) || value.length > most) throw malformed('not a frontier, or too long');
  let last = '';
  return value.map((each: unknown) => {
    const item = readCover(each);
    if (item === undefined || item.epoch <= last) throw malformed('not a frontier');
    last = item.epoch;
    return item;
  });
}

function seenOf(value: unknown): SeenFeeds[] {
  if (!Array.isArray(value)) throw malformed('seen');
  let [last, left] = ['', ROTATION_LIMITS.seen as number];
  return value.map((each: unknown) => {
    if (!Array.isArray(each) || each.length !== 2) throw malformed('seen');
    const author = parsePeerId(each[0]);
    if (author === undefined || author <= last) throw malformed('seen');
    const items = itemsOf(each[1], left);
    if (items.length === 0) throw malformed('seen');
    left -= items.length;
    last = author;
    return { author, items };
  });
}
