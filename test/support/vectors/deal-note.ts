import {
  NOTE_ENVELOPE,
  type Attestation,
  verifyAttestation,
  signAttestation,
} from '../../../protocols/market/deal-note/evidence.ts';
import { base64url, fromBase64url, fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { type EnvelopeType, readEnvelope, signEnvelope } from '../../../protocols/wire/envelope.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const [A, B] = [nodeOf(1), nodeOf(2)];
const HASHES = ['11', '22', '33'].map((byte) => byte.repeat(32));
const WORD: Attestation = {
  net: 'vectors',
  contract: recordKey('contracts', A.peerId, 'k'.repeat(43)),
  at: 1_700_000_000_000,
  buyer: `amina@${A.peerId}`,
  supplier: `mary@${B.peerId}`,
  listing: `${B.peerId}.maize`,
  statements: HASHES,
};

const bytesOf = (word: string): string => hex(fromBase64url(word) ?? new Uint8Array());

/** The signed word of a deal note, and what is none. */
export function dealNoteVectors(): unknown {
  const hashes = HASHES.map(fromHex);
  const payload = { v: 1, ...WORD, statements: hashes };
  const sealed = (value: Cbor, type: EnvelopeType = NOTE_ENVELOPE): Uint8Array =>
    signEnvelope(B, type, encodeCbor(value));
  const good = signAttestation(B, { ...WORD, statements: HASHES.toReversed() });
  const altered = fromBase64url(good) ?? new Uint8Array();
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
  const none: readonly [name: string, bytes: Uint8Array][] = [
    ['another version', sealed({ ...payload, v: 2 })],
    ['hashes that do not ascend', sealed({ ...payload, statements: hashes.toReversed() })],
    ['a hash twice', sealed({ ...payload, statements: [...hashes.slice(0, 2), ...hashes.slice(1)] })],
    ['a hash of 31 bytes', sealed({ ...payload, statements: [new Uint8Array(31)] })],
    ['a time before 1970', sealed({ ...payload, at: -1 })],
    ['a field more', sealed({ ...payload, more: 1 })],
    [
      'no listing',
      sealed(Object.fromEntries(Object.entries(payload).filter(([name]) => name !== 'listing'))),
    ],
    ['another domain', sealed(payload, { ...NOTE_ENVELOPE, domain: 'agrinet-entry' })],
    ['a signature altered in its last bit', altered],
  ];
  return {
    word: { ...WORD, by: B.peerId },
    payload: hex(readEnvelope(NOTE_ENVELOPE, fromHex(bytesOf(good))).payload),
    bytes: bytesOf(good),
    refused: none.map(([name, bytes]) => ({
      name,
      bytes: hex(bytes),
      code: outcomeOf(() => verifyAttestation(base64url(bytes))),
    })),
  };
}
