import { zstdCompressSync } from 'node:zlib';
import { systemEnv } from '../../daemon/system-env.ts';
import { decodeEntry } from '../../protocols/feed/entry.ts';
import { ERASURE_BYTES, verifyErasure, signErasure } from '../../protocols/feed/erasure.ts';
import { makeForkProof, verifyForkProof } from '../../protocols/feed/fork.ts';
import { decodeHeader, ENTRY_ENVELOPE } from '../../protocols/feed/header.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import { verifyPeerRecord } from '../../protocols/discovery/peer-exchange.ts';
import { readLines } from '../../protocols/market/lines.ts';
import { jsonObject } from '../../api/rows.ts';
import { OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import {
  decodeOpening,
  decodeOpeningAnswer,
  decodePlaces,
  encodeOpening,
  encodeOpeningAnswer,
  encodePlaces,
  frontierRoot,
  placeDigests,
} from '../../protocols/mycelium/frontier-digest.ts';
import { decodeFrontier } from '../../protocols/mycelium/frontier-page.ts';
import { encodeFrontier } from '../support/frontier-pages.ts';
import { decodeMessage, encodeMessage } from '../../protocols/mycelium/message.ts';
import { decodeRangeRequest, encodeRangeRequest, RANGE_LIMITS } from '../../protocols/mycelium/range.ts';
import { decodeRangeFrame, FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { CHUNK_BYTES, decodeChunk, ENTRY_ITEM } from '../../protocols/checkpoint/chunk.ts';
import { checkEvidence, SnapshotReader } from '../../protocols/checkpoint/snapshot-reader.ts';
import { verifyCheckpoint } from '../../protocols/feed/checkpoint.ts';
import { atOnce } from '../../protocols/ledger/turn.ts';
import { askChunks, askHashes } from '../../protocols/mycelium/snapshot-asking.ts';
import {
  decodeSnapshotRequest,
  encodeSnapshotRequest,
  SNAPSHOT_STREAM_LIMITS,
  type SnapshotRequest,
} from '../../protocols/mycelium/snapshot-request.ts';
import { readSnapshotSequence } from '../../protocols/mycelium/snapshot-sequence.ts';
import { decodeChange } from '../../protocols/open-dialog/change.ts';
import { decodeMembership } from '../../protocols/open-dialog/membership.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import { verifyRegistration, signRegistration } from '../../protocols/registry/statement.ts';
import { concat, fromHex } from '../../protocols/wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { verifyEnvelope, readEnvelope } from '../../protocols/wire/envelope.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import {
  Hand,
  listingOps,
  NET,
  priceOps,
  privateRecord,
  type Random,
  someIdentity,
} from '../support/forge.ts';
import { listingFloor, servedSnapshot } from '../support/served-snapshot.ts';
import { bomb } from './mutate.ts';

/** One decoder with well-formed input: it may give a value or throw an error of ours, and nothing else. */
export interface Decoder {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** The longest input that its transport lets through. */
  readonly longest: number;
  /** Well-formed or not: what costs those dearly who expand it. */
  readonly bombs?: readonly Uint8Array[];
  run(bytes: Uint8Array): unknown;
}

/** Every decoder that bytes of others reach. */
export function decoders(random: Random): Decoder[] {
  const identity = someIdentity(random);
  const other = someIdentity(random);
  const hand = new Hand(identity, random.hex(8));
  const listing = listingOps(hand.pen, 'a', undefined, { title: 'Maize', price: 12.5, geoLat_: '1.00000' });
  const price = priceOps(hand.pen, 'Nairobi', 3);
  const secret = privateRecord(hand.pen, [identity.peerId, other.peerId]);
  const entries = [hand.next([...listing, ...price]), hand.next(price)];
  const [first, second] = entries;
  if (first === undefined || second === undefined) throw new Error('no entries');
  const fork = makeForkProof(first, hand.sign(price, { seq: 1, prev: null }));
  const ops = [
    ...listing,
    ...price,
    ...secret.ops,
    encodeOp({ v: 1, c: 'listings', k: `${identity.peerId}/a`, t: 'tombstone', d: new Uint8Array(0) }),
  ];
  const payloads = ops.flatMap((op) => decodeOp(op)?.d ?? []);
  const announcement = {
    author: identity.peerId,
    channel: 'public',
    epoch: hand.epoch,
    seq: 2,
    hash: second.hash,
  } as const;
  const items = [
    { epoch: hand.epoch, seq: 2, hash: second.hash },
    { epoch: random.hex(8), seq: 0, hash: '', fork: fork.id },
  ];
  const frames = [
    concat([Uint8Array.of(0), ...entries.map(({ bytes }) => encodeItem({ kind: 'entry', bytes }))]),
    concat([Uint8Array.of(0), encodeItem({ kind: 'proof', bytes: fork.bytes })]),
  ];
  const packed = (frame: Uint8Array): Uint8Array =>
    concat([Uint8Array.of(1), zstdCompressSync(frame.subarray(1))]);
  const statement = signRegistration(identity, NET, {
    caller: identity.peerId,
    receiver: other.peerId,
    nodeUrl: 'http://127.0.0.1:5000',
    region: 'Nairobi',
    name: 'a',
    multiaddrs: ['/ip4/127.0.0.1/tcp/7000'],
    schemaVersion: 1,
    time: Date.now(),
    nonce: random.hex(16),
    tlsFingerprint: '',
  });
  const rows = [
    '{"kind":"price","market":"A","price":1}',
    '{"kind":"listing","id":"x","type":"offer"}\r\n{}\n[]',
  ].map((text) => new TextEncoder().encode(text));
  const place = {
    author: identity.peerId,
    channel: 'public',
    epoch: hand.epoch,
    seq: 1,
    index: 0,
    time: [1, 0],
  } as const;
  return [
    {
      name: 'cbor',
      seeds: [...entries.map((e) => e.bytes), ...ops],
      longest: LIMITS.entryBytes,
      run: decodeCbor,
    },
    { name: 'entry', seeds: entries.map((e) => e.bytes), longest: LIMITS.entryBytes, run: decodeEntry },
    {
      name: 'header',
      seeds: entries.map((e) => e.envelope.payload),
      longest: LIMITS.headerBytes,
      run: decodeHeader,
    },
    {
      name: 'envelope',
      seeds: entries.map((e) => e.envelopeBytes),
      longest: LIMITS.entryBytes,
      run: (b) => [readEnvelope(ENTRY_ENVELOPE, b), verifyEnvelope(ENTRY_ENVELOPE, b)],
    },
    {
      name: 'erasure',
      seeds: [
        signErasure(identity, {
          channel: 'public',
          epoch: first.header.epoch,
          seq: 1,
          record: recordKey('listings', identity.peerId, 'a'),
          ops: [{ index: 0, hash: random.hex(32) }],
          time: 1,
        }),
      ],
      longest: ERASURE_BYTES,
      run: verifyErasure,
    },
    {
      name: 'message',
      seeds: [
        encodeMessage({ kind: 'entry', bytes: first.bytes }),
        encodeMessage({ kind: 'announcement', announcement }),
        encodeMessage({ kind: 'proof', bytes: fork.bytes }),
      ],
      longest: LIMITS.gossipEntryBytes + 1024,
      run: decodeMessage,
    },
    {
      name: 'frontier',
      seeds: encodeFrontier([{ author: identity.peerId, channel: 'public', digest: random.hex(32), items }]),
      longest: LIMITS.frontierBytes,
      run: decodeFrontier,
    },
    {
      name: 'opening of a frontier',
      seeds: [encodeOpening({ knows: OWN_COVERAGE, root: frontierRoot([]) })],
      longest: LIMITS.frontierBytes,
      run: decodeOpening,
    },
    {
      name: 'answer to an opening',
      seeds: [undefined, placeDigests([])].map((digests) =>
        encodeOpeningAnswer({ knows: OWN_COVERAGE, digests }),
      ),
      longest: LIMITS.frontierBytes,
      run: decodeOpeningAnswer,
    },
    {
      name: 'places of a frontier',
      seeds: [encodePlaces([]), encodePlaces([0, 7, 255])],
      longest: LIMITS.frontierBytes,
      run: decodePlaces,
    },
    {
      name: 'range request',
      seeds: [encodeRangeRequest({ author: identity.peerId, channel: 'public', have: items })],
      longest: RANGE_LIMITS.requestBytes,
      run: decodeRangeRequest,
    },
    {
      name: 'range frame',
      seeds: [...frames, ...frames.map(packed)],
      bombs: [
        packed(new Uint8Array(64 * 1024 * 1024)),
        packed(
          concat([Uint8Array.of(0), new Uint8Array(300_000 * 3).map((_, i) => [0x82, 0, 0x40][i % 3] ?? 0)]),
        ),
      ],
      longest: FRAME_LIMITS.frameBytes,
      run: (b) => decodeRangeFrame(b, systemEnv.offload),
    },
    {
      name: 'range frame inflated',
      seeds: frames,
      longest: FRAME_LIMITS.frameBytes,
      run: (b) => decodeRangeFrame(packed(b), systemEnv.offload),
    },
    ...snapshotDecoders(),
    { name: 'fork proof', seeds: [fork.bytes], longest: LIMITS.entryBytes, run: verifyForkProof },
    {
      name: 'statement',
      seeds: [statement],
      longest: 16_384,
      run: (b) => verifyRegistration(b, { net: NET, receiver: other.peerId, now: Date.now() }),
    },
    {
      name: 'op',
      seeds: ops,
      longest: LIMITS.opBytes,
      run: (bytes) => [decodeOp(bytes), readOp({ ...place, bytes })],
    },
    {
      name: 'op in a private channel',
      seeds: ops,
      longest: LIMITS.opBytes,
      run: (bytes) => readOp({ ...place, channel: secret.key, bytes }),
    },
    {
      name: 'change',
      seeds: payloads.slice(0, 1),
      bombs: [bomb(random.hex(16), [random.hex(32)])],
      longest: LIMITS.opBytes,
      run: decodeChange,
    },
    { name: 'membership', seeds: payloads.slice(2, 3), longest: LIMITS.opBytes, run: decodeMembership },
    {
      name: 'peer record',
      seeds: [first.envelopeBytes],
      longest: 2048,
      run: (b) => verifyPeerRecord(b, AbortSignal.timeout(1000)),
    },
    { name: 'import rows', seeds: rows, longest: 256 * 1024, run: readRows },
  ];
}

/** What comes of a snapshot, and what is asked of one. */
function snapshotDecoders(): Decoder[] {
  const { checkpoint, chunks } = servedSnapshot({
    floors: [listingFloor(1, 10), listingFloor(2, 10)],
    evidence: 2,
  });
  const { author, id } = checkpoint;
  const name = { author, checkpoint: id, list: 'records' } as const;
  const requests: SnapshotRequest[] = [
    { kind: 'checkpoints', author },
    { kind: 'hashes', ...name },
    { kind: 'chunks', ...name, first: 0, last: 63 },
  ];
  const all = [...chunks.records, ...chunks.evidence].map(({ bytes }) => bytes);
  const raw = (bytes: Uint8Array): Uint8Array => concat([Uint8Array.of(0), bytes]);
  const asked = {
    checkpoint,
    list: 'records',
    hashes: fromHex(chunks.records[0]?.hash ?? ''),
    first: 0,
    last: 0,
  } as const;
  /** Frames as whoever asks for chunks reads them: up to the first that is none. */
  const askFor = async (answer: () => AsyncGenerator<Uint8Array>): Promise<void> => {
    await Array.fromAsync(askChunks(answer, asked, systemEnv));
  };
  return [
    { name: 'checkpoint', seeds: [checkpoint.signed], longest: 45_056, run: verifyCheckpoint },
    {
      name: 'snapshot request',
      seeds: requests.map(encodeSnapshotRequest),
      longest: SNAPSHOT_STREAM_LIMITS.requestBytes,
      run: decodeSnapshotRequest,
    },
    {
      name: 'chunk',
      seeds: all,
      longest: CHUNK_BYTES,
      run(bytes) {
        const chunk = decodeChunk(bytes);
        for (const item of chunk.items) if (item.bytes?.[1] === ENTRY_ITEM) checkEvidence(item);
        const reader = new SnapshotReader(checkpoint);
        atOnce(reader.records(chunk));
        atOnce(reader.recordsEnd());
      },
    },
    {
      name: 'frame of a snapshot',
      seeds: all.map(raw),
      bombs: [concat([Uint8Array.of(1), zstdCompressSync(new Uint8Array(64 * 1024 * 1024))])],
      longest: SNAPSHOT_STREAM_LIMITS.frameBytes,
      async run(bytes) {
        await askFor(async function* () {
          yield bytes;
        });
      },
    },
    {
      name: 'snapshot over HTTP',
      seeds: [concat([...all.map((bytes) => encodeCbor(raw(bytes))), encodeCbor(new Uint8Array(0))])],
      longest: 4 * CHUNK_BYTES,
      async run(bytes) {
        async function* body(): AsyncGenerator<Uint8Array> {
          yield bytes;
        }
        await askFor(() => readSnapshotSequence(body()));
      },
    },
    {
      name: 'hashes of a snapshot over HTTP',
      seeds: [concat([encodeCbor(asked.hashes), encodeCbor(new Uint8Array(0))])],
      // As many frames as one read of a socket brings.
      bombs: [concat(Array.from({ length: 1927 }, () => encodeCbor(new Uint8Array(32))))],
      longest: 64 * 1024,
      async run(bytes) {
        async function* body(): AsyncGenerator<Uint8Array> {
          yield bytes;
        }
        await askHashes(() => readSnapshotSequence(body()), checkpoint, 'records');
      },
    },
  ];
}

async function readRows(bytes: Uint8Array): Promise<number> {
  let read = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  for await (const { text, tooLong } of readLines(body())) {
    if (tooLong) continue;
    read++;
    jsonObject(text);
  }
  return read;
}
