import {
  createPrivateKey,
  createPublicKey,
  sign as edSign,
  verify as edVerify,
  type KeyObject,
} from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { base58btc } from 'multiformats/bases/base58';
import { AgrinetError } from '../errors.ts';
import { atMost } from '../lru-bound.ts';
import { bytesEqual, concat } from './bytes.ts';

/** A libp2p peer id of an Ed25519 key, in base58btc: `12D3KooW…`, 52 characters. */
export type PeerId = string & { readonly __peerId: true };

/** A node's key. `privateKeyRaw` is libp2p's raw form, seed then public key, 64 bytes; it never leaves the process. */
export interface Identity {
  readonly peerId: PeerId;
  readonly publicKey: Uint8Array;
  readonly privateKeyRaw: Uint8Array;
  /** Ed25519 (RFC 8032) over the bytes; 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array;
}

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');
/** Identity multihash (0x00, 36 bytes) of libp2p's protobuf of an Ed25519 key (type 1, 32 bytes of data). */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);

/** The identity of a 32-byte Ed25519 seed. Throws `identity-invalid` for any other length. */
export function identityFromSeed(seed: Uint8Array): Identity {
  if (seed.length !== 32) throw new AgrinetError('identity-invalid', 'an Ed25519 seed has 32 bytes');
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(SPKI_ED25519.length));
  return {
    peerId: peerIdOf(publicKey),
    publicKey,
    privateKeyRaw: concat([seed, publicKey]),
    sign: (bytes) => new Uint8Array(edSign(null, bytes, privateKey)),
  };
}

/** The peer id of an Ed25519 public key (libp2p peer id specification, identity multihash). */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  return base58btc.baseEncode(concat([PEER_ID_PREFIX, publicKey])) as PeerId;
}

/** Reads a peer id, strictly: base58btc, Ed25519, the one encoding. Undefined for anything else. */
export function parsePeerId(text: unknown): PeerId | undefined {
  if (typeof text !== 'string' || text.length !== 52 || !text.startsWith('12D3KooW')) return undefined;
  if (validPeerIds.has(text)) return text as PeerId;
  const peerId = decodePeerId(text);
  if (peerId !== undefined) {
    if (validPeerIds.size >= KEYS_KEPT) validPeerIds.clear();
    validPeerIds.add(peerId);
  }
  return peerId;
}

/** Base58 costs as much as the rest of a record key: the few peer ids a node meets are remembered. */
const validPeerIds = new Set<string>();

function decodePeerId(text: string): PeerId | undefined {
  try {
    const bytes = base58btc.baseDecode(text);
    if (bytes.length !== 38 || !bytesEqual(bytes.subarray(0, 6), PEER_ID_PREFIX)) return undefined;
    return base58btc.baseEncode(bytes) === text ? (text as PeerId) : undefined;
  } catch {
    return undefined; // not base58
  }
}

/** Imported keys: importing costs as much as verifying. */
const KEYS_KEPT = 4096;
const keys = new LRUCache<string, KeyObject>(atMost(KEYS_KEPT));

function keyObject(publicKey: Uint8Array): KeyObject {
  const id = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1');
  const known = keys.get(id);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.concat([SPKI_ED25519, publicKey]), format: 'der', type: 'spki' });
  keys.set(id, key);
  return key;
}

/**
 * Verifies an Ed25519 signature as RFC 8032 section 5.1.7 has it, without the cofactor (`S` below the group order, `R` compared
 * byte by byte), and refuses the keys and `R` points whose order is small: such a key signs everything. The edge cases are
 * vectors in `protocols/vectors.json`.
 */
export function verifySignature(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  if (isSmallOrder(publicKey) || isSmallOrder(signature.subarray(0, 32))) return false;
  try {
    return edVerify(null, bytes, keyObject(publicKey), signature);
  } catch {
    return false; // not a point on the curve
  }
}

/**
 * The y coordinates of the points of order 1, 2, 4 and 8, canonical and not, without the sign bit
 * (the list of "Taming the many EdDSAs", Chalkias et al. 2020, table 2).
 */
const SMALL_ORDER = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);
const SMALL_ORDER_FIRST = new Set([0x00, 0x01, 0x26, 0xc7, 0xec, 0xed, 0xee]);

/** True for every encoding of a point of order 1, 2, 4 or 8, whatever its sign bit. Recent OpenSSL refuses them too; older ones do not. */
export function isSmallOrder(point: Uint8Array): boolean {
  if (!SMALL_ORDER_FIRST.has(point[0] ?? 0)) return false;
  const y = Buffer.from(point);
  y[31] = (y[31] ?? 0) & 0x7f;
  return SMALL_ORDER.has(y.toString('hex'));
}
