import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record';
import { streamPair } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import {
  verifyPeerRecord,
  PEER_EXCHANGE_LIMITS,
  PeerExchange,
} from '../../../protocols/discovery/peer-exchange.ts';
import { concat } from '../../../protocols/wire/bytes.ts';
import { encodeCbor, type Cbor } from '../../../protocols/wire/cbor.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const soon = (): AbortSignal => AbortSignal.timeout(5000);
const keyOf = (seed: number): PrivateKey =>
  privateKeyFromRaw(identityFromSeed(new Uint8Array(32).fill(seed)).privateKeyRaw);
const alice = keyOf(1);

async function sealed(about: PrivateKey, by: PrivateKey): Promise<Uint8Array> {
  const record = new PeerRecord({
    peerId: peerIdFromPrivateKey(about),
    multiaddrs: [multiaddr('/ip4/8.8.8.8/tcp/7000')],
    seqNumber: 7n,
  });
  return (await RecordEnvelope.seal(record, by)).marshal();
}

describe('a signed peer record', () => {
  it('tells where its signer is', async () => {
    expect(await verifyPeerRecord(await sealed(alice, alice), soon())).toEqual({
      peerId: peerIdFromPrivateKey(alice).toString(),
      addresses: ['/ip4/8.8.8.8/tcp/7000'],
    });
  });

  it('is refused when it is about somebody else', async () => {
    await expect(verifyPeerRecord(await sealed(keyOf(2), alice), soon())).rejects.toMatchObject({
      code: 'peers-malformed',
    });
  });

  it('is refused in any other bytes: altered, with a field repeated or unknown, cut, or noise', async () => {
    const bytes = await sealed(alice, alice);
    const repeated = concat([bytes, bytes.subarray(0, 2 + (bytes[1] ?? 0))]);
    const unknown = concat([bytes, Uint8Array.of(0x78, 0x01)]);
    for (const other of [repeated, unknown, new Uint8Array()]) {
      await expect(verifyPeerRecord(other, soon())).rejects.toMatchObject({ code: 'peers-malformed' });
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const altered = Uint8Array.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ flip;
        await expect(verifyPeerRecord(altered, soon())).rejects.toMatchObject({ code: 'peers-malformed' });
        await expect(verifyPeerRecord(bytes.subarray(0, at), soon())).rejects.toMatchObject({
          code: 'peers-malformed',
        });
      }),
      { numRuns: 100 },
    );
  });
});

describe('asking', () => {
  /** An asker whose peer answers with these frames. */
  async function answerWith(frames: readonly Uint8Array[]): Promise<unknown> {
    const [near, far] = await streamPair();
    const exchange = new PeerExchange(
      { env: systemEnv, libp2p: undefined as never, onFailure: () => undefined },
      { network: 'test' },
    );
    const server = new FramedStream(far, { maxFrame: 1024 * 1024 });
    const serving = (async () => {
      await server.read(soon());
      for (const frame of frames) await server.write(frame, soon());
      await server.close(soon());
    })();
    try {
      return await exchange.ask({ newStream: async () => near } as never, soon());
    } finally {
      await serving.catch(() => undefined); // the asker may have reset the stream before the end
    }
  }

  it('takes what is signed', async () => {
    expect(await answerWith([encodeCbor([await sealed(alice, alice)])])).toHaveLength(1);
  });

  it('throws a malformed answer away whole', async () => {
    const good = await sealed(alice, alice);
    const bad: readonly (readonly Uint8Array[])[] = [
      [],
      [encodeCbor([good]), encodeCbor([])],
      [encodeCbor(Array.from<Cbor>({ length: PEER_EXCHANGE_LIMITS.records + 1 }).fill(good))],
      [encodeCbor([good, new Uint8Array(PEER_EXCHANGE_LIMITS.recordBytes + 1)])],
      [encodeCbor([good, 'text'])],
      [encodeCbor({ peers: [good] })],
      [Uint8Array.of(0xff)],
    ];
    for (const frames of bad) await expect(answerWith(frames)).rejects.toThrow();
    const tooLong = new Uint8Array(PEER_EXCHANGE_LIMITS.responseBytes + 1);
    await expect(answerWith([tooLong])).rejects.toMatchObject({ code: 'frame-too-long' });
  });
});
