import { AgrinetError } from '../errors.ts';
import { sha256Hex } from '../wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { verifyEnvelope, readEnvelope } from '../wire/envelope.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { decodeHeader, ENTRY_ENVELOPE, headerHash } from './header.ts';

/** Proof that an author signed two headers for one place: both envelopes, the one with the lower payload hash first. */
export interface ForkProof {
  readonly bytes: Uint8Array;
  /** SHA-256 of the place, hex: what has no effect depends on the place alone, so all proofs of one place are the same proof. */
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

/** Reads and verifies a proof. Throws `fork-malformed`, `signature-invalid`, or what reading an envelope or header throws. */
export function verifyForkProof(bytes: Uint8Array): ForkProof {
  return readProof(bytes, verifyEnvelope);
}

/** Reads a proof without its signatures: to look whether its place is forked already, and for what was verified before. */
export function readForkProof(bytes: Uint8Array): ForkProof {
  return readProof(bytes, readEnvelope);
}

function readProof(bytes: Uint8Array, open: typeof verifyEnvelope): ForkProof {
  const malformed = (why: string): AgrinetError => new AgrinetError('fork-malformed', `fork proof: ${why}`);
  const value = bytes.length > 16_384 ? undefined : decodeCbor(bytes);
  if (!Array.isArray(value) || value.length !== 2) throw malformed('not a pair');
  const [first, second] = value.map((item: unknown) => {
    if (!(item instanceof Uint8Array)) throw malformed('not envelopes');
    const envelope = open(ENTRY_ENVELOPE, item);
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
    id: sha256Hex(`${first.author}\n${a.channel}\n${a.epoch}\n${a.seq}`),
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
  return verifyForkProof(encodeCbor([low.envelopeBytes, high.envelopeBytes]));
}

/** Whether a proof changes anything where this is the known fork of its epoch: only a lower place does. */
export function isNewFork(proof: Pick<ForkProof, 'seq'>, known: Pick<ForkProof, 'seq'> | undefined): boolean {
  return known === undefined || proof.seq < known.seq;
}
