import { zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { decodeEntry } from '../../../protocols/feed/entry.ts';
import { ERASURE_BYTES, verifyErasure } from '../../../protocols/feed/erasure.ts';
import { verifyForkProof } from '../../../protocols/feed/fork.ts';
import { decodeHeader } from '../../../protocols/feed/header.ts';
import { decodeOp } from '../../../protocols/feed/op.ts';
import { decodeFrontier } from '../../../protocols/mycelium/frontier-page.ts';
import { decodeItems } from '../../../protocols/mycelium/item-sequence.ts';
import { decodeMessage } from '../../../protocols/mycelium/message.ts';
import { decodeRangeFrame, FRAME_LIMITS } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { decodeRangeRequest, RANGE_LIMITS } from '../../../protocols/mycelium/range.ts';
import { verifyRequest, REQUEST_LIMITS } from '../../../protocols/mycelium/signed-request.ts';
import { ByteQueue } from '../../../protocols/wire/byte-queue.ts';
import { base64url, concat } from '../../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { STRETCH_MS } from '../../support/loop-watch.ts';

/*
 * Every decoder that bytes of others reach, given what its transport lets through and the most items that so many bytes can claim: in the place of
 * each of its lists, and of itself. It may refuse or take it, and never for longer than one turn may last.
 */

const { peerId: author } = identityFromSeed(new Uint8Array(32).fill(1));
/** Values of one byte and of two and three: null, empty list, empty map, empty bytes, list in list, pair. */
const FILLERS = [[0xf6], [0x80], [0xa0], [0x40], [0x81, 0x80], [0x82, 0, 0x40]];

/** A list of as many of these as fit into so many bytes. */
function listOf(filler: readonly number[], bytes: number): Uint8Array {
  const count = Math.floor((bytes - 5) / filler.length);
  const out = new Uint8Array(5 + count * filler.length);
  out[0] = 0x9a;
  new DataView(out.buffer).setUint32(1, count);
  for (let i = 5; i < out.length; i++) out[i] = filler[(i - 5) % filler.length] ?? 0;
  return out;
}

/** Places for a list: the payload itself, and in the middle of these bytes around it. */
const AROUND: Readonly<Record<string, readonly Uint8Array[]>> = {
  entry: [Uint8Array.of(0x82, 0x40)],
  frontier: [
    concat([
      Uint8Array.of(0x82, 0x80, 0x81, 0x84),
      encodeCbor(author),
      encodeCbor('public'),
      encodeCbor(new Uint8Array(32)),
    ]),
  ],
  request: [concat([Uint8Array.of(0xa3), encodeCbor('have')])],
  message: [Uint8Array.of(0x82, 0)],
};

const decoders: readonly (readonly [name: string, longest: number, run: (bytes: Uint8Array) => unknown])[] = [
  ['entry', LIMITS.entryBytes, decodeEntry],
  ['header', LIMITS.headerBytes, decodeHeader],
  ['op', LIMITS.opBytes, decodeOp],
  ['fork proof', 16_384, verifyForkProof],
  ['erasure', ERASURE_BYTES, verifyErasure],
  ['message', LIMITS.gossipEntryBytes + 1024, decodeMessage],
  ['frontier', LIMITS.frontierBytes, decodeFrontier],
  ['request', RANGE_LIMITS.requestBytes, decodeRangeRequest],
  [
    'raw frame',
    FRAME_LIMITS.frameBytes,
    (bytes) => decodeRangeFrame(concat([Uint8Array.of(0), bytes]), systemEnv.offload),
  ],
  [
    'packed frame',
    8 * 1024 * 1024,
    (bytes) => decodeRangeFrame(concat([Uint8Array.of(1), zstdCompressSync(bytes)]), systemEnv.offload),
  ],
  [
    'signed request',
    (REQUEST_LIMITS.headerCharacters * 3) / 4,
    (bytes) =>
      verifyRequest(base64url(bytes), { net: 'test', receiver: author, method: 'GET', path: '/', now: 0 }),
  ],
];

/** CPU of this thread for the worst of a few runs after a warm-up, milliseconds; what others threads do beside does not count. */
async function cost(run: () => unknown): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 4; i++) {
    const before = process.threadCpuUsage();
    await Promise.resolve()
      .then(run)
      .catch(() => undefined); // refused: that is one of the two answers
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

it.each(decoders)('%s: the most items that fit cost less than a turn', async (name, longest, run) => {
  let worst = 0;
  for (const filler of FILLERS)
    for (const around of [new Uint8Array(0), ...(AROUND[name] ?? [])]) {
      const list = listOf(filler, longest - around.length);
      // What packs the frame is the sender's cost, not the decoder's.
      const ready = name === 'packed frame' ? concat([Uint8Array.of(1), zstdCompressSync(list)]) : undefined;
      const input = concat([around, list]);
      worst = Math.max(
        worst,
        await cost(ready === undefined ? () => run(input) : () => decodeRangeFrame(ready, systemEnv.offload)),
      );
    }
  console.log(`${name}: ${worst.toFixed(1)} ms of CPU at worst`);
  expect(worst).toBeLessThan(STRETCH_MS);
});

it('a frame of 160 bytes with 500,000 empty items is refused at item 1,025', async () => {
  const items = new Uint8Array(500_000 * 3).map((_, i) => [0x82, 0, 0x40][i % 3] ?? 0);
  const frame = concat([Uint8Array.of(1), zstdCompressSync(items.subarray(0, FRAME_LIMITS.frameBytes - 4))]);
  expect(frame.length).toBeLessThan(400);
  await expect(decodeRangeFrame(frame, systemEnv.offload)).rejects.toMatchObject({ code: 'range-malformed' });
  await expect(
    decodeRangeFrame(concat([Uint8Array.of(1), zstdCompressSync(items)]), systemEnv.offload),
  ).rejects.toMatchObject({
    code: 'range-malformed',
  });
});

it('an item in pieces of one byte costs what its bytes cost', async () => {
  const item = encodeItem({ kind: 'entry', bytes: new Uint8Array(LIMITS.entryBytes / 4).fill(7) });
  async function* pieces(size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < item.length; at += size) yield item.subarray(at, at + size);
  }
  for await (const { bytes } of decodeItems(pieces(1))) expect(bytes.length).toBe(LIMITS.entryBytes / 4);
  const queue = new ByteQueue();
  const push = (): void => {
    queue.clear();
    for (let at = 0; at < item.length; at++) queue.push(item.subarray(at, at + 1));
  };
  const single = await cost(push);
  console.log(`${item.length} single bytes: ${single.toFixed(1)} ms of CPU`);
  expect(single).toBeLessThan(500);
  expect(Buffer.from(queue.take(item.length)).equals(item)).toBe(true);
});
