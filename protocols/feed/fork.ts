import { AgrinetError } from '../errors.ts';
import { concat, fromHex, sha256Hex } from '../wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { openEnvelope } from '../wire/envelope.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { decodeHeader, ENTRY_ENVELOPE, headerHash } from './header.ts';

/** Proof that an author signed two headers for one place: both envelopes, the one with the lower payload hash first. */
export interface ForkProof {
  readonly bytes: Uint8Array;
  /** SHA-256 of the two payload hashes, hex. Not of the bytes: a key can sign one payload in many ways. */
  readonly id: string;
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly net: string;
  readonly seq: number;
  /** Payload hashes, ascending. */
  readonly hashes: readonly [string, string];
  /** `prev` of the two headers: unequal ones say that the fork is lower still. */
  readonly prevs: readonly [string | null, string | null];
}

/** Reads and verifies a proof. Throws `fork-malformed`, or what reading an envelope or header throws. */
export function openForkProof(bytes: Uint8Array): ForkProof {
  const malformed = (why: string): AgrinetError => new AgrinetError('fork-malformed', `fork proof: ${why}`);
  const value = bytes.length > 16_384 ? undefined : decodeCbor(bytes);
  if (!Array.isArray(value) || value.length !== 2) throw malformed('not a pair');
  const [first, second] = value.map((item: unknown) => {
    if (!(item instanceof Uint8Array)) throw malformed('not envelopes');
    const envelope = openEnvelope(ENTRY_ENVELOPE, item);
    return {
      author: envelope.author,
      header: decodeHeader(envelope.payload),
      hash: headerHash(envelope.payload),
    };
  });
  if (first === undefined || second === undefined || first.hash >= second.hash) throw malformed('order');
  const a = first.header;
  const b = second.header;
  const same =
    first.author === second.author && a.channel === b.channel && a.epoch === b.epoch && a.seq === b.seq;
  if (!same || a.net !== b.net) throw malformed('two places');
  return {
    bytes,
    id: sha256Hex(concat([fromHex(first.hash), fromHex(second.hash)])),
    author: first.author,
    channel: a.channel,
    epoch: a.epoch,
    net: a.net,
    seq: a.seq,
    hashes: [first.hash, second.hash],
    prevs: [a.prev, b.prev],
  };
}

/** The proof made of two envelopes whose payloads differ. */
export function makeForkProof(
  one: { envelopeBytes: Uint8Array; hash: string },
  other: { envelopeBytes: Uint8Array; hash: string },
): ForkProof {
  const [low, high] = one.hash < other.hash ? [one, other] : [other, one];
  return openForkProof(encodeCbor([low.envelopeBytes, high.envelopeBytes]));
}

/** True when `proof` beats the one known: a lower place, or the lower pair at the same. */
export function proofWins(proof: ForkProof, known: ForkProof | undefined): boolean {
  if (known === undefined) return true;
  if (proof.seq !== known.seq) return proof.seq < known.seq;
  const [a, b] = proof.hashes;
  const [x, y] = known.hashes;
  return a !== x ? a < x : b < y;
}
