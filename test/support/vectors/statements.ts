import {
  ERASURE_ENVELOPE,
  verifyErasure,
  signErasure,
  type ErasureStatement,
} from '../../../protocols/feed/erasure.ts';
import { decodeEntry, signEntry } from '../../../protocols/feed/entry.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { verifyRequest, signRequest } from '../../../protocols/mycelium/signed-request.ts';
import { verifyIdentityProof, signIdentityProof } from '../../../protocols/registry/identity-proof.ts';
import { verifyWithdrawal, signWithdrawal } from '../../../protocols/registry/withdrawal.ts';
import { base64url, fromHex, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { readEnvelope, signEnvelope } from '../../../protocols/wire/envelope.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const NET = 'vectors';
const TIME = 1_700_000_000_000;
const MINUTES = 60_000;
const NONCE = '55'.repeat(16);

/** Bytes under a name, and what an implementation must make of them: `accepted`, or a code. */
export interface JudgedBytes {
  readonly name: string;
  readonly bytes: string;
  readonly outcome: string;
}

function judged(name: string, bytes: Uint8Array, open: (bytes: Uint8Array) => unknown): JudgedBytes {
  return { name, bytes: hex(bytes), outcome: outcomeOf(() => open(bytes)) };
}

/** Signs a payload that no honest sealer makes. */
function forge(
  identity: Identity,
  like: Uint8Array,
  envelope: typeof ERASURE_ENVELOPE,
  change: (map: Record<string, Cbor>) => void,
): Uint8Array {
  const map = { ...(decodeCbor(readEnvelope(envelope, like).payload) as Record<string, Cbor>) };
  change(map);
  return signEnvelope(identity, envelope, encodeCbor(map));
}

/** Erasures by themselves: what an author may take out, and what nobody may. */
export function erasureVectors(): { statements: JudgedBytes[]; entry: unknown } {
  const node = nodeOf(1);
  const { peerId } = node;
  const hashes = [sha256Hex('one'), sha256Hex('two')] as const;
  const good: ErasureStatement = {
    channel: 'public',
    epoch: '0123456789abcdef',
    seq: 7,
    record: recordKey('listings', peerId, 'maize-1'),
    ops: [
      { index: 0, hash: hashes[0] },
      { index: 3, hash: hashes[1] },
    ],
    time: TIME,
  };
  const conversation = recordKey('conversations', peerId, 'c'.repeat(43));
  const contract = recordKey('contracts', peerId, 'k'.repeat(43));
  const message = recordKey('messages', peerId, 'm'.repeat(43));
  const sealed = signErasure(node, good);
  const with_ = (change: Partial<ErasureStatement>): Uint8Array => signErasure(node, { ...good, ...change });
  const forged = (change: (map: Record<string, Cbor>) => void, by = node): Uint8Array =>
    forge(by, sealed, ERASURE_ENVELOPE, change);
  const cases: [string, Uint8Array][] = [
    ['two ops of a listing', sealed],
    ['a message of a conversation', with_({ channel: conversation, record: message })],
    ['a message in the channel of a contract', with_({ channel: contract, record: message })],
    ['a message in public', with_({ record: message })],
    ['a price', with_({ record: recordKey('prices', peerId, 'p'.repeat(43)) })],
    ["another's listing", with_({ record: recordKey('listings', nodeOf(2).peerId, 'maize-1') })],
    ['ops out of order', with_({ ops: good.ops.toReversed() })],
    [
      'an op twice',
      with_({ ops: [good.ops[0] ?? { index: 0, hash: hashes[0] }, { index: 0, hash: hashes[1] }] }),
    ],
    ['no op', with_({ ops: [] })],
    ['an index of 1,024', with_({ ops: [{ index: 1024, hash: hashes[0] }] })],
    ['seq 0', with_({ seq: 0 })],
    ['version 2', forged((map) => (map['v'] = 2))],
    ['a further field', forged((map) => (map['net'] = NET))],
    ['signed by another than it names', forged(() => undefined, nodeOf(2))],
    ['a flipped signature', sealed.with(-1, (sealed.at(-1) ?? 0) ^ 1)],
  ];
  return {
    statements: cases.map(([name, bytes]) => judged(name, bytes, verifyErasure)),
    entry: erasedEntry(node),
  };
}

/** An entry, the statement about one of its ops, and the entry as everybody keeps it from then on. */
function erasedEntry(node: Identity): unknown {
  const record = recordKey('listings', node.peerId, 'maize-1');
  const ops = ['one', 'two'].map((text) =>
    encodeOp({
      v: 1,
      c: 'listings',
      k: `${node.peerId}/maize-1`,
      t: 'delta',
      d: new TextEncoder().encode(text),
    }),
  );
  const [first = new Uint8Array(0), second = new Uint8Array(0)] = ops;
  const place = {
    net: NET,
    channel: 'public',
    epoch: '0123456789abcdef',
    seq: 1,
    prev: null,
    after: [],
  } as const;
  const entry = signEntry(node, { ...place, time: [TIME, 0] }, ops);
  const statement = signErasure(node, {
    channel: 'public',
    epoch: place.epoch,
    seq: 1,
    record,
    ops: [{ index: 0, hash: sha256Hex(first) }],
    time: TIME,
  });
  const kept = encodeCbor([entry.envelopeBytes, [[fromHex(sha256Hex(first))], second]]);
  if (decodeEntry(kept).hash !== entry.hash) throw new Error('the hash of an entry moved by an erasure');
  const op = encodeOp({ v: 1, c: 'listings', k: '', t: 'erase', d: statement });
  return {
    entry: hex(entry.bytes),
    statement: hex(statement),
    id: verifyErasure(statement).id,
    op: hex(op),
    kept: hex(kept),
  };
}

/** Signed HTTP requests, each held against one and the same request. */
export function requestVectors(): unknown {
  const [caller, receiver] = [nodeOf(1), nodeOf(2)];
  const expected = {
    net: NET,
    receiver: receiver.peerId,
    method: 'GET',
    path: '/federation/feeds?x=1',
    now: TIME,
  };
  const request = { ...expected, time: TIME, nonce: fromHex(NONCE) };
  const header = (change: Partial<typeof request>): string => signRequest(caller, { ...request, ...change });
  const cases: [string, string][] = [
    ['as it came', header({})],
    ['five minutes old', header({ time: TIME - 5 * MINUTES })],
    ['older than five minutes', header({ time: TIME - 5 * MINUTES - 1 })],
    ['five minutes ahead', header({ time: TIME + 5 * MINUTES })],
    ['ahead of five minutes', header({ time: TIME + 5 * MINUTES + 1 })],
    ['another path', header({ path: '/federation/feeds?x=2' })],
    ['another method', header({ method: 'POST' })],
    ['another network', header({ net: 'other' })],
    ['another receiver', header({ receiver: caller.peerId })],
    ['a nonce of 15 bytes', header({ nonce: new Uint8Array(15) })],
    ['not an envelope', base64url(new Uint8Array(80))],
    ['empty', ''],
  ];
  return {
    expected: { ...expected, caller: caller.peerId, nonce: NONCE },
    headers: cases.map(([name, text]) => ({
      name,
      header: text,
      outcome: outcomeOf(() => verifyRequest(text, expected)),
    })),
  };
}

/** Proofs of identity, held against one question. */
export function identityProofVectors(): unknown {
  const node = nodeOf(1);
  const expected = { net: NET, nonce: NONCE, now: TIME };
  const proof = {
    nonce: NONCE,
    nodeUrl: 'https://node.example.org',
    tlsFingerprint: 'ab'.repeat(32),
    time: TIME,
  };
  const made = (change: Partial<typeof proof>, net = NET): Uint8Array =>
    signIdentityProof(node, net, { ...proof, ...change });
  const cases: [string, Uint8Array][] = [
    ['over a certificate', made({})],
    ['without a certificate', made({ tlsFingerprint: '' })],
    ['five minutes old', made({ time: TIME - 5 * MINUTES })],
    ['older than five minutes', made({ time: TIME - 5 * MINUTES - 1 })],
    ['another nonce', made({ nonce: '66'.repeat(16) })],
    ['another network', made({}, 'other')],
    ['a URL of 513 characters', made({ nodeUrl: `https://${'n'.repeat(505)}` })],
    ['a fingerprint in upper case', made({ tlsFingerprint: 'AB'.repeat(32) })],
    ['cut short', made({}).subarray(0, 100)],
  ];
  return {
    expected: { ...expected, peerId: node.peerId },
    proofs: cases.map(([name, bytes]) => judged(name, bytes, (each) => verifyIdentityProof(each, expected))),
  };
}

/** Registrations taken back, held against one receiver. */
export function withdrawalVectors(): unknown {
  const [caller, receiver] = [nodeOf(1), nodeOf(2)];
  const expected = { net: NET, receiver: receiver.peerId, now: TIME };
  const withdrawal = { receiver: receiver.peerId, time: TIME, nonce: NONCE };
  const made = (change: Partial<typeof withdrawal>, net = NET): Uint8Array =>
    signWithdrawal(caller, net, { ...withdrawal, ...change });
  const cases: [string, Uint8Array][] = [
    ['as it came', made({})],
    ['older than five minutes', made({ time: TIME - 5 * MINUTES - 1 })],
    ['another receiver', made({ receiver: caller.peerId })],
    ['another network', made({}, 'other')],
    ['a nonce of 15 bytes', made({ nonce: '55'.repeat(15) })],
  ];
  return {
    expected: { ...expected, caller: caller.peerId },
    withdrawals: cases.map(([name, bytes]) =>
      judged(name, bytes, (each) => verifyWithdrawal(each, expected)),
    ),
  };
}
