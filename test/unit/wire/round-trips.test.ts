import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { bodyMatches, decodeEntry, signEntry } from '../../../protocols/feed/entry.ts';
import { decodeHeader, encodeHeader, ENTRY_ENVELOPE, type Header } from '../../../protocols/feed/header.ts';
import { decodeOp, encodeOp, type Op } from '../../../protocols/feed/op.ts';
import {
  decodeFrontier,
  encodePage,
  frontierPages,
  type FrontierGroup,
} from '../../../protocols/mycelium/frontier-page.ts';
import { encodeFrontier } from '../../support/frontier-pages.ts';
import { decodeMessage, encodeMessage, type GossipMessage } from '../../../protocols/mycelium/message.ts';
import { decodeRangeRequest, encodeRangeRequest } from '../../../protocols/mycelium/range.ts';
import { decodeMembership, encodeMembership } from '../../../protocols/open-dialog/membership.ts';
import { verifyRegistration, signRegistration } from '../../../protocols/registry/statement.ts';
import { bytesEqual, hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signatureHolds } from '../../../protocols/wire/envelope.ts';
import {
  type Channel,
  parsePublicId,
  parseRecordKey,
  publicId,
  recordKey,
} from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const hexOf = (length: number): fc.Arbitrary<string> => bytes(length).map(hex);
const peers = fc.integer({ min: 1, max: 20 }).map((byte) => nodeOf(byte).peerId);
const collections = fc.stringMatching(/^[a-z][a-z-]{0,31}$/);
const localIds = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const keys = fc.tuple(collections, peers, localIds).map(([c, owner, id]) => recordKey(c, owner, id));
const channels: fc.Arbitrary<Channel> = fc.oneof(fc.constant('public' as const), keys);
const seqs = fc.integer({ min: 1, max: LIMITS.feedEntries });
const tails = fc.record({ epoch: hexOf(8), seq: seqs, hash: hexOf(32) });
const headers: fc.Arbitrary<Header> = fc
  .record({
    net: fc.string({ maxLength: 32 }),
    channel: channels,
    epoch: hexOf(8),
    seq: fc.oneof(fc.constant(1), seqs),
    before: hexOf(32),
    after: fc.array(tails, { maxLength: LIMITS.afterEpochs }),
    time: fc.tuple(fc.nat(), fc.nat(0xffff_ffff)),
    n: fc.integer({ min: 1, max: LIMITS.entryOps }),
    root: hexOf(32),
  })
  .map(({ before, after, ...rest }) => ({
    ...rest,
    prev: rest.seq === 1 ? null : before,
    after: rest.seq === 1 ? after : [],
  }));
const ops: fc.Arbitrary<Op> = fc.record({
  v: fc.integer({ min: 1, max: 99 }),
  c: collections,
  k: fc.string({ maxLength: LIMITS.keyBytes }),
  t: fc.string({ maxLength: 32 }),
  d: fc.uint8Array({ maxLength: 300 }),
});
// What begins with a byte order mark has no encoding; schema.ts refuses it before it is written.
const texts = fc.string({ unit: 'binary' }).filter((text) => !text.startsWith('\uFEFF'));
const scalars: fc.Arbitrary<Cbor> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
  texts,
  fc.uint8Array({ maxLength: 40 }),
);
const { tree: values } = fc.letrec<{ tree: Cbor }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalars,
    fc.array(tie('tree'), { maxLength: 6 }),
    fc.dictionary(texts, tie('tree'), { maxKeys: 6 }),
  ),
}));

describe('what is written is read back, and only those bytes are read', () => {
  it('dag-cbor', () => {
    fc.assert(
      fc.property(values, (value) => {
        const encoded = encodeCbor(value);
        expect(bytesEqual(encodeCbor(decodeCbor(encoded) as Cbor), encoded)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('any bytes: what is taken has no second encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (encoded) => {
        const value = valueOf(() => decodeCbor(encoded));
        if (value === 'refused') return;
        expect(bytesEqual(encodeCbor(value as Cbor), encoded)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('headers', () => {
    fc.assert(
      fc.property(headers, (header) => {
        expect(decodeHeader(encodeHeader(header))).toEqual(header);
      }),
    );
  });

  it('ops', () => {
    fc.assert(
      fc.property(ops, (op) => {
        expect(decodeOp(encodeOp(op))).toEqual(op);
      }),
    );
  });

  it('entries: signature and root hold, any altered bit is refused or breaks one of them', () => {
    const entries = fc.tuple(headers, fc.array(ops, { minLength: 1, maxLength: 5 }));
    fc.assert(
      fc.property(entries, fc.nat(), ([{ n: _n, root: _root, ...place }, list], at) => {
        const entry = signEntry(nodeOf(1), place, list.map(encodeOp));
        const read = decodeEntry(entry.bytes);
        expect(read.header).toEqual(entry.header);
        expect(read.hash).toBe(entry.hash);
        expect(signatureHolds(ENTRY_ENVELOPE, read.envelope) && bodyMatches(read)).toBe(true);
        const altered = Uint8Array.from(entry.bytes);
        altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ 1;
        const other = valueOf(() => decodeEntry(altered));
        if (other === 'refused') return;
        expect(signatureHolds(ENTRY_ENVELOPE, other.envelope) && bodyMatches(other)).toBe(false);
      }),
    );
  });

  it('gossip messages', () => {
    const announcements = fc.record({
      author: peers,
      channel: channels,
      epoch: hexOf(8),
      seq: seqs,
      hash: hexOf(32),
    });
    const messages: fc.Arbitrary<GossipMessage> = fc.oneof(
      announcements.map((announcement) => ({ kind: 'announcement' as const, announcement })),
      fc.record({
        kind: fc.constantFrom('entry' as const, 'proof' as const),
        bytes: fc.uint8Array({ maxLength: 99 }),
      }),
    );
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
    );
  });

  const items = fc.oneof(
    fc.record({ epoch: hexOf(8), seq: seqs, hash: hexOf(32) }),
    fc.record({ epoch: hexOf(8), seq: seqs, hash: hexOf(32), fork: hexOf(32) }),
    fc.record({ epoch: hexOf(8), seq: fc.constant(0), hash: fc.constant(''), fork: hexOf(32) }),
  );

  it('frontier pages, of whatever size', () => {
    const groups: fc.Arbitrary<FrontierGroup> = fc.record({
      author: peers,
      channel: channels,
      digest: fc.oneof(fc.constant(''), hexOf(32)),
      items: fc.array(items, { minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(groups, { maxLength: 20 }), fc.integer({ min: 1, max: 60 }), (list, times) => {
        const many = Array.from({ length: times }, () => list).flat();
        const pages = encodeFrontier(many);
        for (const page of pages) expect(page.length).toBeLessThanOrEqual(LIMITS.frontierBytes);
        expect(pages.flatMap((page) => decodeFrontier(page).groups)).toEqual(many);
      }),
      { numRuns: 30 },
    );
  });

  it('what a node knows, on a full page too', () => {
    const known = fc
      .uniqueArray(
        fc.tuple(
          fc.stringMatching(/^[a-z][a-z-]{0,31}$/),
          fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        ),
        { maxLength: LIMITS.knownCollections, selector: ([name]) => name },
      )
      .map((pairs) => new Map(pairs.sort(([a], [b]) => (a < b ? -1 : 1))));
    fc.assert(
      fc.property(known, fc.integer({ min: 1, max: 400 }), (knows, count) => {
        const groups = Array.from({ length: count }, () => ({
          author: identityFromSeed(new Uint8Array(32)).peerId,
          channel: 'public' as const,
          digest: '11'.repeat(32),
          items: [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }],
        }));
        const pages = frontierPages(groups).map((page) => encodePage(page, knows));
        for (const page of pages) expect(page.length).toBeLessThanOrEqual(LIMITS.frontierBytes);
        for (const page of pages) expect(decodeFrontier(page).knows).toEqual(knows);
      }),
      { numRuns: 30 },
    );
  });

  it('range requests', () => {
    const requests = fc.record({
      author: peers,
      channel: channels,
      have: fc.array(items, { maxLength: 20 }),
    });
    fc.assert(
      fc.property(requests, (request) => {
        expect(decodeRangeRequest(encodeRangeRequest(request))).toEqual(request);
      }),
    );
  });

  it('members of a private record', () => {
    const lists = fc.uniqueArray(peers, { minLength: 1, maxLength: LIMITS.participants });
    fc.assert(
      fc.property(lists, bytes(16), (list, nonce) => {
        const [owner = nodeOf(1).peerId] = list;
        const members = { owner, writers: [owner], participants: list };
        expect(decodeMembership(encodeMembership(members, nonce))).toEqual({
          ...members,
          participants: [...list].sort(),
          nonce: Buffer.from(nonce).toString('hex'),
        });
      }),
    );
  });

  it('registrations', () => {
    const texts32 = fc.string({ maxLength: 32 });
    const statements = fc.record({
      nodeUrl: texts32,
      region: texts32,
      name: texts32,
      multiaddrs: fc.array(texts32, { maxLength: 4 }),
      schemaVersion: fc.integer({ min: 1, max: 9 }),
      time: fc.nat(),
      nonce: hexOf(16),
      tlsFingerprint: fc.oneof(fc.constant(''), hexOf(32)),
    });
    fc.assert(
      fc.property(statements, (rest) => {
        const statement = { caller: nodeOf(1).peerId, receiver: nodeOf(2).peerId, ...rest };
        const expected = { net: 'test', receiver: statement.receiver, now: rest.time };
        expect(verifyRegistration(signRegistration(nodeOf(1), 'test', statement), expected)).toEqual(
          statement,
        );
      }),
    );
  });

  it('record keys and the ids that HTTP shows', () => {
    fc.assert(
      fc.property(collections, peers, localIds, (collection, owner, id) => {
        expect(parseRecordKey(recordKey(collection, owner, id))).toEqual({ collection, owner, id });
        expect(parsePublicId(publicId({ owner, id }), nodeOf(1).peerId)).toEqual({ owner, id });
        expect(parsePublicId(id, owner)).toEqual({ owner, id });
      }),
    );
  });
});

function valueOf<T>(work: () => T): T | 'refused' {
  try {
    return work();
  } catch (error) {
    expect(errorCode(error)).not.toBe('internal');
    return 'refused';
  }
}
