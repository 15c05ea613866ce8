import { AgrinetError } from '../errors.ts';
import { concat, hex, sha256 } from '../wire/bytes.ts';
import { bytesOf, type Cbor, decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { type Envelope, readEnvelope, signEnvelope } from '../wire/envelope.ts';
import type { Identity, PeerId } from '../wire/identity.ts';
import { LIMITS } from '../wire/limits.ts';
import { decodeHeader, encodeHeader, ENTRY_ENVELOPE, type Header, headerHash } from './header.ts';

/** One op in a body: its bytes, or only their hash after an erasure. */
export type BodyItem = { readonly op: Uint8Array } | { readonly erased: Uint8Array };

/** One signed batch of ops. `bytes` is exactly what was received or written and is what gets stored and relayed. */
export interface Entry {
  readonly bytes: Uint8Array;
  readonly envelope: Envelope;
  readonly envelopeBytes: Uint8Array;
  readonly author: PeerId;
  readonly header: Header;
  /** SHA-256 of the header payload, hex. */
  readonly hash: string;
  readonly body: readonly BodyItem[];
  /**
   * When this node took it in, by its own clock: milliseconds since 1970, 0 where that is not known. Local: neither signed nor sent, and
   * in nothing that nodes compare.
   */
  readonly arrived: number;
}

/** Reads an entry strictly, without its signature. Throws `entry-too-large`, `entry-malformed`, `not-canonical`, `envelope-malformed`, `header-malformed` or `header-version`. */
export function decodeEntry(bytes: Uint8Array, arrived = 0): Entry {
  if (bytes.length > LIMITS.entryBytes) throw new AgrinetError('entry-too-large', 'entry over 1 MiB');
  const value = decodeCbor(bytes);
  const malformed = (why: string): AgrinetError => new AgrinetError('entry-malformed', `entry: ${why}`);
  if (!Array.isArray(value) || value.length !== 2) throw malformed('not a pair');
  const [envelopeBytes, items] = value as [unknown, unknown];
  if (!(envelopeBytes instanceof Uint8Array) || !Array.isArray(items)) throw malformed('wrong types');
  if (items.length > LIMITS.entryOps) throw malformed('too many ops');
  const body = items.map((item: unknown): BodyItem => {
    if (item instanceof Uint8Array) {
      if (item.length > LIMITS.opBytes) throw malformed('an op is too large');
      return { op: item };
    }
    const erased = Array.isArray(item) && item.length === 1 ? bytesOf(item[0], 32) : undefined;
    if (erased === undefined) throw malformed('neither an op nor a hash');
    return { erased };
  });
  const envelope = readEnvelope(ENTRY_ENVELOPE, envelopeBytes);
  const header = decodeHeader(envelope.payload);
  return {
    bytes,
    envelope,
    envelopeBytes,
    author: envelope.author,
    header,
    hash: headerHash(envelope.payload),
    body,
    arrived,
  };
}

/** SHA-256 over the SHA-256 of each op, so that one op can be erased while the rest still verifies. Hex. */
export function bodyRoot(body: readonly BodyItem[]): string {
  return hex(sha256(concat(body.map((item) => ('op' in item ? sha256(item.op) : item.erased)))));
}

/** True when header and body belong together. */
export function bodyMatches(entry: Entry): boolean {
  return entry.body.length === entry.header.n && bodyRoot(entry.body) === entry.header.root;
}

/**
 * Signs ops into an entry. `place` is everything of the header that the ops do not determine. The only place where an entry is made, so the only one
 * that has to bound it: every carrier takes what passes here. Throws `entry-too-large`.
 */
export function signEntry(
  identity: Identity,
  place: Omit<Header, 'n' | 'root'>,
  ops: readonly Uint8Array[],
  arrived = 0,
): Entry {
  if (ops.length === 0 || ops.length > LIMITS.entryOps)
    throw new AgrinetError('entry-too-large', `an entry has 1 to ${LIMITS.entryOps} ops`);
  const body: BodyItem[] = ops.map((op) => ({ op }));
  const header: Header = { ...place, n: ops.length, root: bodyRoot(body) };
  const payload = encodeHeader(header);
  const envelopeBytes = signEnvelope(identity, ENTRY_ENVELOPE, payload);
  const bytes = encodeCbor([envelopeBytes, [...ops]] satisfies Cbor);
  if (bytes.length > LIMITS.entryBytes)
    throw new AgrinetError('entry-too-large', `an entry has at most ${LIMITS.entryBytes} bytes`);
  return {
    bytes,
    envelope: readEnvelope(ENTRY_ENVELOPE, envelopeBytes),
    envelopeBytes,
    author: identity.peerId,
    header,
    hash: headerHash(payload),
    body,
    arrived,
  };
}

/** The same entry with another body of equal hashes, encoded again around the signed envelope. */
export function withBody(entry: Entry, body: readonly BodyItem[]): Entry {
  const items = body.map((item): Cbor => ('op' in item ? item.op : [item.erased]));
  return { ...entry, bytes: encodeCbor([entry.envelopeBytes, items]), body };
}
