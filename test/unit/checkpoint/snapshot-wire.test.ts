import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mostChunks } from '../../../protocols/checkpoint/snapshot-list.ts';
import { ChunkWriter, plainItem } from '../../../protocols/checkpoint/chunk.ts';
import { pause } from '../../../protocols/env.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { askCheckpoints, askHashes, type AskSnapshot } from '../../../protocols/mycelium/snapshot-asking.ts';
import { SnapshotAnswers } from '../../../protocols/mycelium/snapshot-answer.ts';
import { SnapshotProtocol } from '../../../protocols/mycelium/snapshot-protocol.ts';
import {
  decodeSnapshotRequest,
  encodeSnapshotRequest,
  SNAPSHOT_STREAM_LIMITS,
  type SnapshotRequest,
} from '../../../protocols/mycelium/snapshot-request.ts';
import { readSnapshotSequence, snapshotSequence } from '../../../protocols/mycelium/snapshot-sequence.ts';
import { concat, fromHex, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import type { PeerConnection, StreamHandler, StreamHost } from '../../../protocols/wire/stream.ts';
import { HandClock, settle, watchEnd } from '../../support/hand-clock.ts';
import {
  listingFloor,
  type ServedSnapshot,
  servedSnapshot,
  sourceOf,
} from '../../support/served-snapshot.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { StreamBench } from '../limits/boundaries/stream-bench.ts';

interface Vectors {
  readonly snapshots: {
    readonly taken: readonly { name: string; request: SnapshotRequest; bytes: string }[];
    readonly refused: readonly { name: string; bytes: string; code: string }[];
    readonly sequence: { readonly frames: readonly string[]; readonly bytes: string };
  };
}
const file = new URL('../../../protocols/vectors.json', import.meta.url);
const { snapshots } = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const never = new AbortController().signal;
const { requestBytes, frameBytes, checkpoints, hashes, answerMs, answeringPerPeer, idleMs } =
  SNAPSHOT_STREAM_LIMITS;
const { askBurst, askEveryMs, askPages } = SNAPSHOT_STREAM_LIMITS;

describe('vectors', () => {
  it.each(snapshots.taken)('$name', ({ request, bytes }) => {
    expect(hex(encodeSnapshotRequest(request))).toBe(bytes);
    expect(decodeSnapshotRequest(fromHex(bytes))).toEqual(request);
  });

  it.each(snapshots.refused)('refused: $name', ({ bytes, code }) => {
    expect(code).toBe('snapshot-malformed');
    expect(outcomeOf(() => decodeSnapshotRequest(fromHex(bytes)))).toBe(code);
  });

  it('an answer over HTTPS', async () => {
    const frames = snapshots.sequence.frames.map(fromHex);
    expect(hex(concat(await Array.fromAsync(snapshotSequence(each(frames)))))).toBe(snapshots.sequence.bytes);
    expect(await Array.fromAsync(readSnapshotSequence(each([fromHex(snapshots.sequence.bytes)])))).toEqual(
      frames,
    );
  });
});

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

describe('a sequence', () => {
  const read = async (...bytes: Uint8Array[]): Promise<unknown> =>
    Array.fromAsync(readSnapshotSequence(each(bytes))).then(
      (frames) => frames.length,
      (error: unknown) => errorCode(error),
    );
  const frame = encodeCbor(Uint8Array.of(1, 2, 3));
  const end = encodeCbor(new Uint8Array(0));

  it('ends with an empty byte string, and nothing behind it', async () => {
    expect(await read(frame, end)).toBe(1);
    expect(await read(frame)).toBe('stream-truncated');
    expect(await read(frame.subarray(0, 2))).toBe('stream-truncated');
    expect(await read()).toBe('stream-truncated');
    expect(await read(frame, end, frame)).toBe('snapshot-malformed');
    expect(await read(encodeCbor('text'), end)).toBe('snapshot-malformed');
    // Byte by byte it is the same.
    expect(
      await read(
        ...concat([frame, end])
          .map((byte) => byte)
          .reduce<Uint8Array[]>((all, byte) => [...all, Uint8Array.of(byte)], []),
      ),
    ).toBe(1);
  });

  it('has frames of so many bytes', async () => {
    expect(await read(encodeCbor(new Uint8Array(frameBytes)), end)).toBe(1);
    expect(await read(encodeCbor(new Uint8Array(frameBytes + 1)), end)).toBe('snapshot-malformed');
  });
});

it('a snapshot of so many bytes has no more chunks than a list of hashes may', () => {
  const sizes = [19, 200, 131_072, 131_073, 262_140];
  for (const [first, second] of sizes.flatMap((a) => sizes.map((b) => [a, b] as const))) {
    const writer = new ChunkWriter();
    let chunks = 0;
    for (let i = 0; i < 2101; i++) {
      const size = i % 2 === 0 ? first : second;
      if (size > 1000 && i > 100) break;
      if (
        writer.add(
          plainItem(new Uint8Array(size - (size < 24 ? 1 : size < 256 ? 2 : size < 65_536 ? 3 : 5))),
        ) !== undefined
      )
        chunks++;
    }
    if (writer.end() !== undefined) chunks++;
    expect(chunks, `${first} ${second}`).toBeLessThanOrEqual(mostChunks(writer));
  }
});

const snapshot = servedSnapshot({ floors: [0, 1, 2].map((i) => listingFloor(i, 150_000)), evidence: 2 });
const { author, id } = snapshot.checkpoint;
const chunkRequest = (first: number, last: number): SnapshotRequest => ({
  kind: 'chunks',
  author,
  checkpoint: id,
  list: 'records',
  first,
  last,
});

/** The side that answers, over streams. */
async function answering(of: ServedSnapshot = snapshot, mayReplicate = true) {
  const bench = new StreamBench();
  const clock = new HandClock();
  const { libp2p, onFailure } = bench;
  const answers = new SnapshotAnswers(clock.env, sourceOf(of));
  const access = { mayReplicate: () => mayReplicate };
  await new SnapshotProtocol({ env: clock.env, libp2p, access, answers, onFailure }, 'test').start();
  const ask = async (request: Uint8Array, peer?: PeerId) => {
    const { frames } = bench.open(peer);
    await frames.write(request, never);
    return frames;
  };
  return { bench, clock, ask, answers };
}

async function lengths(frames: FramedStream): Promise<number[] | string> {
  const found: number[] = [];
  try {
    for (let frame = await frames.read(never); frame !== null; frame = await frames.read(never))
      found.push(frame.length);
    return found;
  } catch (error) {
    return errorCode(error);
  }
}

it('a request is for so many chunks at most', () => {
  const { chunks } = SNAPSHOT_STREAM_LIMITS;
  const took = (last: number): string =>
    outcomeOf(() => decodeSnapshotRequest(encodeSnapshotRequest(chunkRequest(7, last))));
  expect([took(5 + chunks), took(6 + chunks), took(7 + chunks)]).toEqual([
    'accepted',
    'accepted',
    'snapshot-malformed',
  ]);
});

describe('snapshot/1', () => {
  it('a request has so many bytes at most', async () => {
    const { bench, ask } = await answering();
    for (const [bytes, end] of [
      [requestBytes - 1, 'snapshot-malformed'],
      [requestBytes, 'snapshot-malformed'],
      [requestBytes + 1, 'frame-too-long'],
    ] as const) {
      const empty = encodeCbor([new Uint8Array(100)]).length - 100;
      expect(await lengths(await ask(encodeCbor([new Uint8Array(bytes - empty)])))).toBe('stream-closed');
      expect(bench.failures.pop()).toBe(end);
    }
    const longest = { ...chunkRequest(0xffff_fff0, 0xffff_ffff), author: nodeOf(7).peerId };
    expect(encodeSnapshotRequest(longest).length).toBeLessThanOrEqual(requestBytes);
  });

  it('gives checkpoints, hashes and chunks, and of what it does not hold an empty frame', async () => {
    const { ask } = await answering();
    const records = snapshot.chunks.records.length;
    const asked = async (request: SnapshotRequest) => lengths(await ask(encodeSnapshotRequest(request)));
    expect(await asked({ kind: 'checkpoints', author })).toEqual([snapshot.checkpoint.signed.length]);
    expect(await asked({ kind: 'hashes', author, checkpoint: id, list: 'records' })).toEqual([32 * records]);
    expect(await asked(chunkRequest(0, 63))).toHaveLength(records);
    expect(await asked(chunkRequest(1, 1))).toHaveLength(1);
    expect(await asked(chunkRequest(records, records))).toEqual([0]);
    expect(await asked({ ...chunkRequest(0, 0), checkpoint: '22'.repeat(32) } as SnapshotRequest)).toEqual([
      0,
    ]);
    expect(
      await asked({ kind: 'hashes', author: nodeOf(2).peerId, checkpoint: id, list: 'records' }),
    ).toEqual([0]);
  });

  it('strangers get nothing, and are not asked for a request', async () => {
    const { bench } = await answering(snapshot, false);
    expect(await lengths(bench.open().frames)).toBe('stream-closed');
    expect(bench.failures).toEqual([]);
  });

  it('more answers than one peer may have at a time are refused', async () => {
    const { bench, ask } = await answering();
    for (let i = 0; i < answeringPerPeer; i++) bench.open();
    expect(await lengths(bench.open().frames)).toBe('stream-closed');
    // Of another peer they do not count.
    const request = encodeSnapshotRequest(chunkRequest(0, 0));
    expect(await lengths(await ask(request, nodeOf(3).peerId))).toHaveLength(1);
  });

  it('a peer that asks for nothing is waited for only so long', async () => {
    const { bench, clock } = await answering();
    const { frames } = bench.open();
    const end = watchEnd(lengths(frames));
    await clock.pass(idleMs - 1);
    expect(end()).toBe('goes on');
    await clock.pass(2);
    expect(end()).toBe('stream-closed');
    expect(bench.failures).toEqual(['answer-slow']);
  });

  it('whoever asks too often is refused until time has passed, and chunks count', async () => {
    const { bench, clock, ask } = await answering();
    const request = encodeSnapshotRequest({ kind: 'checkpoints', author });
    const each = 1 + 1 / askPages;
    const answered = Math.floor((askBurst - 1) / each) + 1;
    for (let i = 0; i < answered; i++) expect(await lengths(await ask(request))).toHaveLength(1);
    expect(await lengths(await ask(request))).toBe('stream-closed');
    expect(bench.failures.splice(0)).toEqual(['busy']);
    await clock.pass(2 * askEveryMs);
    expect(await lengths(await ask(request))).toHaveLength(1);
    expect(await lengths(await ask(request, nodeOf(3).peerId))).toHaveLength(1);
  });
});

it('one answer ends after so long, however steadily it is given', async () => {
  const bench = new StreamBench();
  const clock = new HandClock();
  const source = sourceOf(snapshot);
  const slowly = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      await pause(clock.env, idleMs / 2);
      yield Uint8Array.of(0);
    }
  };
  const answers = new SnapshotAnswers(clock.env, {
    ...source,
    open: async () => ({ hashes: slowly, chunks: slowly }),
  });
  const { libp2p, onFailure } = bench;
  const access = { mayReplicate: () => true };
  await new SnapshotProtocol({ env: clock.env, libp2p, access, answers, onFailure }, 'test').start();
  const { frames } = bench.open();
  await frames.write(encodeSnapshotRequest(chunkRequest(0, 0)), never);
  const end = watchEnd(lengths(frames));
  await clock.pass(answerMs - 1);
  expect(end()).toBe('goes on');
  await clock.pass(idleMs);
  expect(end()).toBe('stream-closed');
  expect(bench.failures).toEqual(['answer-slow']);
});

describe('what an asker takes', () => {
  const asked =
    (frames: readonly Uint8Array[]): AskSnapshot =>
    () =>
      each(frames);

  it('so many checkpoints in one answer', async () => {
    const shown = [1, 2, 3].map((gen) => servedSnapshot({ said: { gen } }).checkpoint.signed);
    const took = (count: number): Promise<unknown> =>
      askCheckpoints(asked(shown.slice(0, count)), author, 'test').then((all) => all.length, errorCode);
    expect([await took(checkpoints - 1), await took(checkpoints), await took(checkpoints + 1)]).toEqual([
      checkpoints - 1,
      checkpoints,
      'snapshot-malformed',
    ]);
    expect(await askCheckpoints(asked([new Uint8Array(0)]), author, 'test')).toEqual([]);
    const refused = [
      askCheckpoints(asked(shown), nodeOf(2).peerId, 'test'),
      askCheckpoints(asked(shown), author, 'other'),
      askCheckpoints(asked([snapshot.checkpoint.signed, snapshot.checkpoint.signed]), author, 'test'),
      askCheckpoints(
        asked([snapshot.checkpoint.signed.map((byte, i) => (i === 60 ? byte ^ 1 : byte))]),
        author,
        'test',
      ),
    ];
    for (const each of refused) expect(await each.then(String, errorCode)).toBe('snapshot-malformed');
  });

  it('so many hashes in one frame', async () => {
    const took = (count: number): Promise<unknown> => {
      const all = new Uint8Array(32 * count);
      const said = { chunks: sha256Hex(all), bytes: 1_000_000_000 };
      const { checkpoint } = servedSnapshot({ said });
      return askHashes(asked([all]), checkpoint, 'records').then((found) => found?.length, errorCode);
    };
    expect(await took(hashes - 1)).toBe(32 * (hashes - 1));
    expect(await took(hashes)).toBe(32 * hashes);
    expect(await took(hashes + 1)).toBe('snapshot-malformed');
  });

  it('no part of a hash, and nothing behind an empty frame', async () => {
    const took = (...frames: Uint8Array[]): Promise<unknown> =>
      askHashes(asked(frames), snapshot.checkpoint, 'records').then((found) => found?.length, errorCode);
    expect(await took(new Uint8Array(0))).toBeUndefined();
    expect(await took(new Uint8Array(33))).toBe('snapshot-malformed');
    expect(await took(new Uint8Array(0), new Uint8Array(32))).toBe('snapshot-malformed');
    expect(await took(new Uint8Array(32), new Uint8Array(0))).toBe('snapshot-malformed');
    expect(await took(new Uint8Array(32))).toBe('snapshot-differs');
  });
});

/** The side that asks, and somebody who answers as he pleases. */
function asking(other: StreamHandler) {
  const bench = new StreamBench();
  const clock = new HandClock();
  const libp2p: StreamHost = { ...bench.libp2p, handle: async () => undefined };
  const answers = new SnapshotAnswers(clock.env, sourceOf(snapshot));
  const parts = { env: clock.env, libp2p, answers, onFailure: bench.onFailure };
  const protocol = new SnapshotProtocol({ ...parts, access: { mayReplicate: () => true } }, 'test');
  void bench.libp2p.handle('any', other, { maxInboundStreams: 1, maxOutboundStreams: 1 });
  const connection: PeerConnection = {
    remotePeer: nodeOf(2).peerId,
    status: 'open',
    timeline: { open: 0 },
    newStream: async () => bench.open().stream,
  };
  return { clock, ask: () => Array.fromAsync(protocol.ask(connection, chunkRequest(0, 0), never)) };
}

describe('asking over a stream', () => {
  it('a frame of so many bytes comes whole, and a longer one is an offence', async () => {
    for (const [bytes, end] of [
      [frameBytes, 1],
      [frameBytes + 1, 'frame-too-long'],
    ] as const) {
      const { ask } = asking(async (stream) => {
        const frames = new FramedStream(stream, { maxFrame: 2 ** 22 });
        await frames.readNext(never);
        await frames.write(new Uint8Array(bytes), never).catch(() => undefined);
        await frames.close(never).catch(() => undefined);
      });
      expect(await ask().then((got) => got.length, errorCode)).toBe(end);
    }
  });

  it('a peer that says nothing is waited for only so long', async () => {
    const { clock, ask } = asking(async () => undefined);
    const end = watchEnd(ask());
    await settle();
    await clock.pass(idleMs - 1);
    expect(end()).toBe('goes on');
    await clock.pass(2);
    expect(end()).toBe('stream-timeout');
  });
});
