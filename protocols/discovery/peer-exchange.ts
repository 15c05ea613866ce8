import type { Libp2p } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record';
import { LRUCache } from 'lru-cache';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { atMost } from '../lru-bound.ts';
import { bytesEqual } from '../wire/bytes.ts';
import { decodeCbor, encodeCbor, integer } from '../wire/cbor.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import type { ByteStream, PeerConnection } from '../wire/stream.ts';

/**
 * Peer exchange, `/agrinet/<network>/peers/1`: whom do you know?
 *
 * request:  one frame, dag-cbor integer, how many records are wanted (1 to 32); then the asker closes its side
 * response: one frame, dag-cbor list of at most that many byte strings, each a libp2p RecordEnvelope of a PeerRecord
 *           (RFC 0002 and 0003) as its owner signed it; then the answerer closes
 *
 * Open to strangers, because it is how they become candidates. Guaranteed to the asker: each record is signed by the
 * peer it is about, in its canonical bytes. Not guaranteed: that it is current, that anybody is there, or that the
 * choice is fair. A malformed answer is thrown away whole.
 */
export const PEER_EXCHANGE_LIMITS = {
  /** As many as a node needs to fill its degree a few times over. */
  records: 32,
  /** One envelope: eight addresses fit three times. */
  recordBytes: 2048,
  /** The request: a count. */
  requestBytes: 16,
  /** All records, each with its CBOR head. */
  responseBytes: 32 * (2048 + 3) + 8,
  /** The whole exchange, either side. */
  timeoutMs: 5000,
  /** Per connection, both ways. */
  streams: 2,
  /** Answered at once, over all connections. */
  answering: 16,
  /** One answer per peer and this many milliseconds; sooner, the stream is reset. */
  everyMs: 5000,
  /** Peers whose last question is remembered. */
  remembered: 1024,
} as const;

/** A record whose signature was checked. */
export interface SignedPeer {
  readonly peerId: string;
  readonly addresses: readonly string[];
}

export interface PeerExchangeComponents {
  readonly env: Pick<Env, 'deadline' | 'monotonic' | 'random'>;
  readonly libp2p: Pick<Libp2p, 'peerId' | 'handle' | 'unhandle' | 'peerStore' | 'getPeers'>;
  readonly onFailure: (peerId: string, error: unknown) => void;
}

/** The protocol's two sides. */
export class PeerExchange {
  readonly protocol: string;
  readonly #parts: PeerExchangeComponents;
  /** When each peer was last answered, the longest ago first. */
  readonly #answered = new LRUCache<string, number>(atMost(PEER_EXCHANGE_LIMITS.remembered));
  #answering = 0;
  #stopping = new AbortController();

  constructor(components: PeerExchangeComponents, { network }: { readonly network: string }) {
    this.#parts = components;
    this.protocol = `/agrinet/${network}/peers/1`;
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    await this.#parts.libp2p.handle(
      this.protocol,
      (stream, connection) => this.#answer(stream, connection.remotePeer.toString()),
      { maxInboundStreams: PEER_EXCHANGE_LIMITS.streams, maxOutboundStreams: PEER_EXCHANGE_LIMITS.streams },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.protocol);
  }

  /** Asks the peer behind this connection. Throws when it does not speak the protocol, is too slow or malformed. */
  async ask(connection: PeerConnection, outer: AbortSignal): Promise<SignedPeer[]> {
    const signal = AbortSignal.any([outer, this.#within()]);
    const stream = await connection.newStream(this.protocol, { signal });
    const { requestBytes, responseBytes } = PEER_EXCHANGE_LIMITS;
    const frames = new FramedStream(stream, { maxFrame: responseBytes, maxSent: requestBytes });
    try {
      await frames.write(encodeCbor(PEER_EXCHANGE_LIMITS.records), signal);
      await frames.close(signal);
      const response = await frames.read(signal);
      if (response === null || (await frames.read(signal)) !== null) throw malformed();
      return await openRecords(decodeCbor(response), signal);
    } catch (error) {
      frames.abort(error);
      throw error;
    }
  }

  async #answer(stream: ByteStream, asker: string): Promise<void> {
    const { requestBytes, responseBytes } = PEER_EXCHANGE_LIMITS;
    const frames = new FramedStream(stream, { maxFrame: requestBytes, maxSent: responseBytes });
    if (this.#answering >= PEER_EXCHANGE_LIMITS.answering || !this.#admit(asker)) {
      return frames.abort(new AgrinetError('rate-limited', 'asked too often'));
    }
    this.#answering++;
    const signal = this.#within();
    try {
      const request = await frames.read(signal);
      if (request === null) throw malformed();
      const most = integer(decodeCbor(request), 1, PEER_EXCHANGE_LIMITS.records);
      if (most === undefined) throw malformed();
      await frames.write(encodeCbor(await this.#records(most, asker)), signal);
      await frames.close(signal);
      if ((await frames.read(signal)) !== null) throw malformed();
    } catch (error) {
      frames.abort(error);
      this.#parts.onFailure(asker, error);
    } finally {
      this.#answering--;
    }
  }

  /** One question per peer and interval. Peers seen longest ago are forgotten. */
  #admit(peerId: string): boolean {
    const { everyMs } = PEER_EXCHANGE_LIMITS;
    const now = this.#parts.env.monotonic();
    const last = this.#answered.get(peerId);
    if (last !== undefined && now - last < everyMs) return false;
    this.#answered.set(peerId, now);
    return true;
  }

  /** Signed records of the peers connected now, in random order: those are the ones that live. */
  async #records(most: number, asker: string): Promise<Uint8Array[]> {
    const { env, libp2p } = this.#parts;
    const found: Uint8Array[] = [];
    const peers = libp2p.getPeers().map((peer) => ({ peer, order: env.random() }));
    for (const { peer } of peers.toSorted((a, b) => a.order - b.order)) {
      if (found.length >= most) break;
      if (peer.toString() === asker || !(await libp2p.peerStore.has(peer))) continue;
      const { peerRecordEnvelope } = await libp2p.peerStore.get(peer);
      if (peerRecordEnvelope === undefined || peerRecordEnvelope.length > PEER_EXCHANGE_LIMITS.recordBytes)
        continue;
      found.push(peerRecordEnvelope);
    }
    return found;
  }

  #within(): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, this.#parts.env.deadline(PEER_EXCHANGE_LIMITS.timeoutMs)]);
  }
}

async function openRecords(value: unknown, signal: AbortSignal): Promise<SignedPeer[]> {
  if (!Array.isArray(value) || value.length > PEER_EXCHANGE_LIMITS.records) throw malformed();
  const peers: SignedPeer[] = [];
  for (const item of value as unknown[]) {
    if (!(item instanceof Uint8Array) || item.length > PEER_EXCHANGE_LIMITS.recordBytes) throw malformed();
    peers.push(await verifyPeerRecord(item, signal));
  }
  return peers;
}

/** Checks one signed peer record: signature, type, canonical bytes, and that it is about its signer. Throws `peers-malformed`. */
export async function verifyPeerRecord(bytes: Uint8Array, signal: AbortSignal): Promise<SignedPeer> {
  let envelope: RecordEnvelope;
  let record: PeerRecord;
  try {
    envelope = await RecordEnvelope.openAndCertify(bytes, PeerRecord.DOMAIN, { signal });
    record = PeerRecord.createFromProtobuf(envelope.payload);
  } catch (error) {
    throw malformed(error);
  }
  const canonical =
    bytesEqual(envelope.marshal(), bytes) && bytesEqual(envelope.payloadType, PeerRecord.CODEC);
  if (!canonical || !peerIdFromPublicKey(envelope.publicKey).equals(record.peerId)) throw malformed();
  return {
    peerId: record.peerId.toString(),
    addresses: record.multiaddrs.map((address) => address.toString()),
  };
}

function malformed(cause?: unknown): AgrinetError {
  return new AgrinetError('peers-malformed', 'not a peer exchange message', { cause });
}
