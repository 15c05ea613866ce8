import { expect, it } from 'vitest';
import { decodeEntry, bodyMatches, signEntry } from '../../../protocols/feed/entry.ts';
import {
  ERASURE_ENVELOPE,
  type ErasureStatement,
  isErasable,
  isProven,
  verifyErasure,
  signErasure,
  withoutOps,
} from '../../../protocols/feed/erasure.ts';
import { ENTRY_ENVELOPE } from '../../../protocols/feed/header.ts';
import { fromHex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signEnvelope, signatureHolds } from '../../../protocols/wire/envelope.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../../../protocols/wire/ids.ts';

const author = identityFromSeed(new Uint8Array(32).fill(7));
const other = identityFromSeed(new Uint8Array(32).fill(8));
const channel = `conversations/${author.peerId}/talk` as Channel;
const record = `messages/${author.peerId}/one` as RecordKey;
const ops = [Uint8Array.of(1, 1, 1), Uint8Array.of(2, 2, 2), Uint8Array.of(3, 3, 3)];
const entry = signEntry(
  author,
  { net: 'test', channel, epoch: '0102030405060708', seq: 1, prev: null, after: [], time: [1, 0] },
  ops,
);
const hashOf = (index: number): string => sha256Hex(ops[index] ?? new Uint8Array());
const statement = (over: Partial<ErasureStatement> = {}): ErasureStatement => ({
  channel,
  epoch: entry.header.epoch,
  seq: 1,
  record,
  time: 5,
  ops: [{ index: 1, hash: hashOf(1) }],
  ...over,
});

it('comes back as it was signed', () => {
  const bytes = signErasure(author, statement());
  expect(verifyErasure(bytes)).toMatchObject({ ...statement(), author: author.peerId, bytes });
});

it('takes an op out of an entry that still verifies', () => {
  const stripped = withoutOps(entry, new Set([1]));
  const read = decodeEntry(stripped.bytes);
  expect(Buffer.from(read.bytes).includes(Buffer.from(ops[1] ?? []))).toBe(false);
  expect([bodyMatches(read), signatureHolds(ENTRY_ENVELOPE, read.envelope), read.hash]).toEqual([
    true,
    true,
    entry.hash,
  ]);
  expect(read.body.map((item) => 'op' in item)).toEqual([true, false, true]);
});

it('proves just the ops it names, by index and hash', () => {
  const proven = (erased: number[], over: Partial<ErasureStatement>): boolean =>
    isProven(withoutOps(entry, new Set(erased)), [verifyErasure(signErasure(author, statement(over)))]);
  expect(proven([1], {})).toBe(true);
  expect(proven([], {})).toBe(true);
  expect(proven([0, 1], {})).toBe(false);
  expect(proven([2], { ops: [{ index: 2, hash: hashOf(1) }] })).toBe(false);
  expect(proven([1], { ops: [{ index: 0, hash: hashOf(1) }] })).toBe(false);
  expect(isProven(withoutOps(entry, new Set([1])), [])).toBe(false);
});

it('is refused in any other shape', () => {
  const code = (bytes: Uint8Array): string => {
    try {
      verifyErasure(bytes);
      return 'opened';
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  };
  const payload = (over: Record<string, Cbor>, by = author): Uint8Array =>
    signEnvelope(
      by,
      ERASURE_ENVELOPE,
      encodeCbor({
        v: 1,
        author: author.peerId,
        channel,
        epoch: fromHex(entry.header.epoch),
        seq: 1,
        record,
        ops: [[1, fromHex(hashOf(1))]],
        time: 5,
        ...over,
      }),
    );
  expect(code(payload({}))).toBe('opened');
  const hash = fromHex(hashOf(1));
  const wrong: Record<string, Cbor>[] = [
    { v: 2 },
    { extra: 1 },
    { seq: 0 },
    { epoch: new Uint8Array(7) },
    { channel: 'elsewhere' },
    { record: 'messages/nobody/one' },
    { time: -1 },
    { ops: [] },
    { ops: [[1, hash, 1]] },
    { ops: [[1, new Uint8Array(31)]] },
    { ops: [[1024, hash]] },
    {
      ops: [
        [1, hash],
        [1, hash],
      ],
    },
    {
      ops: [
        [2, hash],
        [1, hash],
      ],
    },
    { ops: Array.from({ length: 1025 }, (_, i): Cbor => [i, hash]) },
  ];
  for (const over of wrong) expect(code(payload(over)), JSON.stringify(over)).toBe('erasure-malformed');
  expect(code(payload({}, other)), 'by another').toBe('erasure-malformed');
  expect(code(payload({ author: other.peerId }, other)), 'another’s record').toBe('evidence-kept');
  const forEntry = signEnvelope(author, ENTRY_ENVELOPE, encodeCbor({ v: 1 }));
  expect(code(forEntry), 'another purpose').toBe('envelope-malformed');
});

it('is for messages of conversations and for listings only', () => {
  const inContract = `contracts/${author.peerId}/c` as Channel;
  const can = (collection: string, where: Channel): boolean => isErasable(collection, where);
  expect([can('messages', channel), can('listings', 'public')]).toEqual([true, true]);
  for (const collection of [
    'transitions',
    'pings',
    'ratings',
    'contracts',
    'prices',
    'audit-heads',
    'messages',
  ])
    expect([can(collection, 'public'), can(collection, inContract)], collection).toEqual([false, false]);
  expect([can('listings', channel), can('conversations', channel)]).toEqual([false, false]);
});
