import { AgrinetError } from '../../errors.ts';
import { contentId, encodeMembership } from '../../open-dialog/membership.ts';
import type { Membership } from '../../open-dialog/record.ts';
import { base64url, fromBase64url, fromHex, hex, sha256 } from '../../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../../wire/cbor.ts';
import { type EnvelopeType, verifyEnvelope, signEnvelope } from '../../wire/envelope.ts';
import type { Identity, PeerId } from '../../wire/identity.ts';
import { recordKey, type RecordKey } from '../../wire/ids.ts';
import { bindingTag, type Binding } from '../contract-book/binding.ts';
import { CONTRACT_LIMITS } from '../contract/statement.ts';

/**
 * The evidence of a deal note: the creation, of which the contract's id is the hash and which binds it to its parties; every applied
 * statement; and the attestation of a party's node that these were all it held. The statements have the parties' signatures; without
 * the attestation, the last of them could be removed without a trace.
 */
export const NOTE_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-note',
  payloadType: new TextEncoder().encode('/agrinet/note/1'),
};

/** A node's attestation about a contract; `statements` are hashes in hex, ascending, `at` milliseconds since 1970. */
export interface Attestation extends Binding {
  readonly net: string;
  readonly contract: RecordKey;
  readonly at: number;
  readonly statements: readonly string[];
}

/** An attestation with its signer. */
export interface IssuedAttestation extends Attestation {
  readonly by: PeerId;
}

const invalid = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('note-altered', why, { cause });

/** Signs a node's attestation about a contract; base64url. */
export function signAttestation(identity: Identity, word: Attestation): string {
  const { net, contract, at, buyer, supplier, listing } = word;
  const statements = [...word.statements].sort().map(fromHex);
  const payload = encodeCbor({ v: 1, net, contract, at, buyer, supplier, listing, statements });
  return base64url(signEnvelope(identity, NOTE_ENVELOPE, payload));
}

/** Reads and verifies an attestation. Throws `note-altered`. */
export function verifyAttestation(text: string): IssuedAttestation {
  const bytes = fromBase64url(text);
  if (bytes === undefined) throw invalid('not base64url');
  let author: PeerId;
  let value: unknown;
  try {
    const envelope = verifyEnvelope(NOTE_ENVELOPE, bytes);
    author = envelope.author;
    value = decodeCbor(envelope.payload);
  } catch (error) {
    throw invalid('the signature is invalid or malformed', error);
  }
  const map = mapOf(value, [
    'v',
    'net',
    'contract',
    'at',
    'buyer',
    'supplier',
    'listing',
    'statements',
  ] as const);
  const at = integer(map?.at, 0);
  const texts = [map?.net, map?.contract, map?.buyer, map?.supplier, map?.listing];
  const statements = hashesOf(map?.statements);
  if (
    map?.v !== 1 ||
    at === undefined ||
    statements === undefined ||
    !texts.every((one) => typeof one === 'string')
  )
    throw invalid('not the word of a deal note');
  const [net = '', contract = '', buyer = '', supplier = '', listing = ''] = texts.map(String);
  return { net, contract: contract as RecordKey, at, buyer, supplier, listing, statements, by: author };
}

function hashesOf(value: unknown): string[] | undefined {
  if (!Array.isArray(value) || value.length > CONTRACT_LIMITS.statements) return undefined;
  const hashes = value.map((one) => bytesOf(one, 32));
  const texts = hashes.flatMap((one) => (one === undefined ? [] : [hex(one)]));
  return texts.length === value.length && texts.every((one, i) => i === 0 || one > (texts[i - 1] ?? ''))
    ? texts
    : undefined;
}

/** The key of the contract that a creation begins: its local id is the creation's hash. */
export function contractOf(members: Membership): RecordKey {
  const nonce = fromHex(members.nonce ?? '');
  return recordKey('contracts', members.owner, contentId(sha256(encodeMembership(members, nonce))));
}

/** Whether a creation is bound to these parties and this listing. */
export function isBoundTo(members: Membership, binding: Binding): boolean {
  return Buffer.from(fromHex(members.nonce ?? ''))
    .subarray(-10)
    .equals(bindingTag(binding));
}
