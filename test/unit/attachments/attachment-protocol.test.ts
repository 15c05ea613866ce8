import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { ATTACHMENT_LIMITS, attachmentRef } from '../../../protocols/market/attachment.ts';
import {
  ATTACHMENT_STREAM_LIMITS,
  AttachmentProtocol,
  type AttachmentRequest,
  decodeAttachmentRequest,
  encodeAttachmentRequest,
} from '../../../protocols/mycelium/attachment-protocol.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import type { PeerConnection, StreamHandler, StreamHost } from '../../../protocols/wire/stream.ts';
import { HandClock, settle, watchEnd } from '../../support/hand-clock.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { StreamBench } from '../limits/boundaries/stream-bench.ts';

const { requestBytes, answerBytes, answeringPerPeer, exchangeMs } = ATTACHMENT_STREAM_LIMITS;
const request: AttachmentRequest = {
  record: recordKey('listings', nodeOf(1).peerId, 'maize'),
  sha256: '11'.repeat(32),
};
const never = new AbortController().signal;

/** The side that answers. */
async function answering(answer: (peer: string) => Promise<Uint8Array | undefined>, mayReplicate = true) {
  const bench = new StreamBench();
  const clock = new HandClock();
  const { libp2p, onFailure } = bench;
  const parts = { env: clock.env, libp2p, answer, onFailure, access: { mayReplicate: () => mayReplicate } };
  await new AttachmentProtocol(parts, 'test').start();
  return { bench, clock };
}

/** The side that asks, and somebody who answers as he pleases. */
function asking(other: StreamHandler) {
  const bench = new StreamBench();
  const clock = new HandClock();
  const libp2p: StreamHost = { ...bench.libp2p, handle: async () => undefined };
  const parts = {
    env: clock.env,
    libp2p,
    answer: async () => undefined,
    onFailure: bench.onFailure,
    access: { mayReplicate: () => true },
  };
  const protocol = new AttachmentProtocol(parts, 'test');
  void bench.libp2p.handle('any', other, { maxInboundStreams: 1, maxOutboundStreams: 1 });
  const connection: PeerConnection = {
    remotePeer: nodeOf(2).peerId,
    status: 'open',
    timeline: { open: 0 },
    newStream: async () => bench.open().stream,
  };
  return { clock, ask: () => protocol.ask(connection, request, never) };
}

describe('attachment/1', () => {
  it('a request has so many bytes at most', async () => {
    expect(decodeAttachmentRequest(encodeAttachmentRequest(request))).toEqual(request);
    const { bench } = await answering(async () => new Uint8Array(1));
    for (const [bytes, end] of [
      [requestBytes, 'attachment-malformed'],
      [requestBytes + 1, 'frame-too-long'],
    ] as const) {
      const { frames } = bench.open();
      const empty = encodeCbor({ x: new Uint8Array(200) }).length - 200;
      await frames.write(encodeCbor({ x: new Uint8Array(bytes - empty) }), never);
      expect(errorCode(await frames.read(never).catch((error: unknown) => error))).toBe('stream-closed');
      expect(bench.failures.pop()).toBe(end);
    }
    // The longest key there is fits.
    const longest = recordKey('c'.repeat(32), nodeOf(1).peerId, 'x'.repeat(64));
    expect(encodeAttachmentRequest({ ...request, record: longest }).length).toBeLessThanOrEqual(requestBytes);
  });

  it('an answer of so many bytes comes whole, and a longer one is an offence', async () => {
    for (const [bytes, end] of [
      [answerBytes, answerBytes],
      [answerBytes + 1, 'frame-too-long'],
    ] as const) {
      const { ask } = asking(async (stream) => {
        const frames = new FramedStream(stream, { maxFrame: 2 ** 22 });
        await frames.readNext(never);
        await frames.write(new Uint8Array(bytes), never).catch(() => undefined);
        await frames.close(never).catch(() => undefined);
      });
      const came = await ask().then(
        (got) => got?.length,
        (error: unknown) => errorCode(error),
      );
      expect(came).toBe(end);
    }
  });

  it('an empty answer is none, and a second frame an offence', async () => {
    const giving = (...lengths: number[]) =>
      asking(async (stream) => {
        const frames = new FramedStream(stream, { maxFrame: 1024 });
        await frames.readNext(never);
        for (const length of lengths) await frames.write(new Uint8Array(length), never);
        await frames.close(never);
      }).ask();
    expect(await giving(0)).toBeUndefined();
    expect(errorCode(await giving(1, 1).catch((error: unknown) => error))).toBe('attachment-malformed');
    expect(errorCode(await giving().catch((error: unknown) => error))).toBe('stream-truncated');
  });

  it('strangers get nothing, and are not asked for a request', async () => {
    const { bench } = await answering(async () => new Uint8Array(1), false);
    const { frames } = bench.open();
    expect(errorCode(await frames.read(never).catch((error: unknown) => error))).toBe('stream-closed');
    expect(bench.failures).toEqual([]);
  });

  it('more answers than one peer may have at a time are refused', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { bench } = await answering(async () => {
      await held;
      return Uint8Array.of(1);
    });
    const open = async () => {
      const { frames } = bench.open();
      await frames.write(encodeAttachmentRequest(request), never);
      return frames;
    };
    const streams = [];
    for (let i = 0; i < answeringPerPeer; i++) streams.push(await open());
    const { frames } = bench.open();
    expect(errorCode(await frames.read(never).catch((error: unknown) => error))).toBe('stream-closed');
    release();
    for (const each of streams) expect(await each.read(never)).toEqual(Uint8Array.of(1));
  });

  it('a peer that says nothing is waited for only so long', async () => {
    const { clock, ask } = asking(async () => undefined);
    const end = watchEnd(ask());
    await settle();
    await clock.pass(exchangeMs - 1);
    expect(end()).toBe('goes on');
    await clock.pass(2);
    expect(end()).toBe('stream-timeout');
  });
});

describe('references', () => {
  it('a reference has a name and a type of so many characters at most', () => {
    const { nameCharacters, typeCharacters } = ATTACHMENT_LIMITS;
    const ref = { sha256: '11'.repeat(32), type: 'image/png', size: 1, name: 'a' };
    for (const [field, most] of [
      ['name', nameCharacters],
      ['type', typeCharacters],
    ] as const) {
      expect(attachmentRef({ ...ref, [field]: 'x'.repeat(most) })).toBeDefined();
      expect(attachmentRef({ ...ref, [field]: 'x'.repeat(most + 1) })).toBeUndefined();
    }
  });
});
