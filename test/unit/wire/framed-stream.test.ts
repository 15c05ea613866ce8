import { noise } from '@chainsafe/libp2p-noise';
import type { Stream } from '@libp2p/interface';
import { streamPair } from '@libp2p/utils';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p, type Libp2p } from 'libp2p';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';

const soon = (ms = 5000): AbortSignal => AbortSignal.timeout(ms);
const bytes = (length: number, fill = 7): Uint8Array => new Uint8Array(length).fill(fill);

async function pair(
  maxFrame = 1024,
): Promise<{ a: FramedStream; b: FramedStream; rawA: Stream; rawB: Stream }> {
  const [rawA, rawB] = await streamPair();
  return { a: new FramedStream(rawA, { maxFrame }), b: new FramedStream(rawB, { maxFrame }), rawA, rawB };
}

describe('framed stream over a stream pair', () => {
  it('carries frames of every length from 0 to the limit, then the end', async () => {
    const { a, b } = await pair(70_000);
    const lengths = [0, 1, 127, 128, 16_383, 16_384, 70_000];
    for (const length of lengths) await a.write(bytes(length, length & 255), soon());
    await a.close(soon());
    for (const length of lengths) expect(await b.read(soon())).toEqual(bytes(length, length & 255));
    expect(await b.read(soon())).toBeNull();
    expect(await b.read(soon())).toBeNull();
  });

  it('still answers after the remote closed its side', async () => {
    const { a, b } = await pair();
    await a.write(bytes(3), soon());
    await a.close(soon());
    await b.read(soon());
    expect(await b.read(soon())).toBeNull();
    await b.write(bytes(4), soon());
    await b.close(soon());
    expect(await a.read(soon())).toEqual(bytes(4));
    expect(await a.read(soon())).toBeNull();
  });

  it('puts frames together from single bytes', async () => {
    const [rawA, rawB] = await streamPair();
    const b = new FramedStream(rawB, { maxFrame: 1024 });
    const wire = Uint8Array.of(0x02, 1, 2, 0x81, 0x01, ...bytes(129), 0x00);
    for (const byte of wire) rawA.send(Uint8Array.of(byte));
    expect(await b.read(soon())).toEqual(Uint8Array.of(1, 2));
    expect(await b.read(soon())).toEqual(bytes(129));
    expect(await b.read(soon())).toEqual(new Uint8Array());
  });

  it.each([
    ['frame-too-long', Uint8Array.of(0x81, 0x08)], // 1025
    ['frame-too-long', Uint8Array.of(0xff, 0xff, 0xff, 0x7f)],
    ['frame-malformed', Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x01)],
    ['frame-malformed', Uint8Array.of(0x81, 0x00)],
  ])('refuses with %s and resets the stream', async (code, wire) => {
    const [rawA, rawB] = await streamPair();
    const closed = new Promise((resolve) => rawA.addEventListener('close', resolve, { once: true }));
    const b = new FramedStream(rawB, { maxFrame: 1024 });
    rawA.send(wire);
    await expect(b.read(soon())).rejects.toMatchObject({ code });
    expect(rawB.status).toBe('aborted');
    await closed;
    await expect(b.read(soon())).rejects.toMatchObject({ code });
    await expect(b.write(bytes(1), soon())).rejects.toMatchObject({ code });
  });

  it('refuses to send above its own limit', async () => {
    const { a } = await pair();
    await expect(a.write(bytes(1025), soon())).rejects.toMatchObject({ code: 'frame-too-long' });
  });

  it('tells an end inside a frame from an end', async () => {
    const [rawA, rawB] = await streamPair();
    const b = new FramedStream(rawB, { maxFrame: 1024 });
    rawA.send(Uint8Array.of(5, 1, 2));
    await rawA.close();
    await expect(b.read(soon())).rejects.toMatchObject({ code: 'stream-truncated' });
  });

  it('gives up on a tarpit that sends a length and then nothing', async () => {
    const [rawA, rawB] = await streamPair();
    const b = new FramedStream(rawB, { maxFrame: 1024 });
    rawA.send(Uint8Array.of(5, 1));
    await expect(b.read(soon(50))).rejects.toMatchObject({ code: 'stream-timeout' });
    expect(rawB.status).toBe('aborted');
  });

  it('a reset reaches the reader on the other side, and one that waits', async () => {
    const { a, b } = await pair();
    const waiting = b.read(soon());
    a.abort(new Error('enough'));
    await expect(waiting).rejects.toMatchObject({ code: 'stream-closed' });
    await expect(a.read(soon())).rejects.toMatchObject({ code: 'stream-aborted' });
  });
});

describe('framed stream over tcp, noise and yamux', () => {
  let left: Libp2p;
  let right: Libp2p;
  const waiting: ((stream: Stream) => void)[] = [];

  beforeAll(async () => {
    const init = () => ({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1024 * 1024 } })],
    });
    left = await createLibp2p(init());
    right = await createLibp2p(init());
    await right.handle('/test/1', (stream) => waiting.shift()?.(stream));
  });
  afterAll(async () => {
    await left.stop();
    await right.stop();
  });

  async function open(): Promise<[Stream, Stream]> {
    const inbound = new Promise<Stream>((resolve) => waiting.push(resolve));
    const outbound = await left.dialProtocol(right.getMultiaddrs(), '/test/1');
    return [outbound, await inbound];
  }

  it('moves 64 MiB in order, with bounded buffers on both sides', async () => {
    const [out, inn] = await open();
    const writer = new FramedStream(out, { maxFrame: 64 * 1024 });
    const reader = new FramedStream(inn, { maxFrame: 64 * 1024 });
    const signal = soon(30_000);
    const frames = 1024;
    let most = 0;
    const started = performance.now();
    const writing = (async () => {
      const frame = bytes(64 * 1024);
      for (let at = 0; at < frames; at++) {
        frame[0] = at & 255;
        await writer.write(frame, signal);
        most = Math.max(most, out.writeBufferLength);
      }
      await writer.close(signal);
    })();
    let got = 0;
    for (let frame = await reader.read(signal); frame !== null; frame = await reader.read(signal)) {
      expect(frame.length).toBe(64 * 1024);
      expect(frame[0]).toBe(got++ & 255);
    }
    await writing;
    expect(got).toBe(frames);
    expect(most).toBeLessThanOrEqual(256 * 1024);
    console.info(`framed stream: ${(64 / ((performance.now() - started) / 1000)).toFixed(0)} MiB/s`);
  });

  it('holds a writer back while nobody reads, and its memory with it', async () => {
    const [out, inn] = await open();
    const writer = new FramedStream(out, { maxFrame: 64 * 1024 });
    const reader = new FramedStream(inn, { maxFrame: 64 * 1024 });
    let written = 0;
    await expect(
      (async () => {
        for (;;) {
          await writer.write(bytes(64 * 1024), soon(300));
          written += 64 * 1024;
        }
      })(),
    ).rejects.toMatchObject({ code: 'stream-timeout' });
    expect(written).toBeLessThan(4 * 1024 * 1024);
    expect(inn.readBufferLength).toBeLessThan(4 * 1024 * 1024);
    const draining = (async () => {
      for (;;) await reader.read(soon());
    })();
    await expect(draining).rejects.toMatchObject({ code: 'stream-closed' });
  });

  it('goes on after a slow reader wakes up', async () => {
    const [out, inn] = await open();
    const writer = new FramedStream(out, { maxFrame: 1024 });
    const reader = new FramedStream(inn, { maxFrame: 1024 });
    const frames = 5000;
    const signal = soon(20_000);
    const writing = (async () => {
      for (let at = 0; at < frames; at++) await writer.write(bytes(1000, at & 255), signal);
      await writer.close(signal);
    })();
    await new Promise<void>((resolve) => {
      const look = (): void => (inn.readStatus === 'paused' ? resolve() : void setImmediate(look));
      look();
    });
    for (let at = 0; at < frames; at++) expect((await reader.read(signal))?.[0]).toBe(at & 255);
    expect(await reader.read(signal)).toBeNull();
    await writing;
  });

  it('a lost connection is a failure, never an end', async () => {
    const [out, inn] = await open();
    const writer = new FramedStream(out, { maxFrame: 1024 });
    const reader = new FramedStream(inn, { maxFrame: 1024 });
    await writer.write(bytes(5), soon());
    expect(await reader.read(soon())).toEqual(bytes(5));
    const waitingRead = reader.read(soon());
    for (const connection of left.getConnections()) connection.abort(new Error('cut'));
    await expect(waitingRead).rejects.toMatchObject({ code: 'stream-closed' });
    await expect(writer.write(bytes(5), soon())).rejects.toMatchObject({ code: 'stream-closed' });
  });
});
