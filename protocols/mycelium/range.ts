import type { Env } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import { effectiveHead, type FeedState } from '../feed/feed.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, integer, mapOf } from '../wire/cbor.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import { framed, type FramedStream } from '../wire/framed-stream.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { type Channel, isChannel } from '../wire/ids.ts';
import { pullSlow, steady } from '../wire/steady.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { AnswerLanes } from './answer-lanes.ts';
import type { Access, FeedSource } from './ports.ts';
import { decodeRangeFrame, FRAME_LIMITS, framesOf } from './range-frame.ts';
import type { RangeItem } from './range-item.ts';

/**
 * Range catch-up, `/agrinet/<network>/range/1`.
 *
 * The asker sends one frame `{author, channel, have: [[epoch, seq, hash, fork | null], …]}` with every epoch it holds; the holder
 * answers with frames of items (`range-frame.ts`) and closes. Entries of a feed come in order,
 * feeds in the order in which the holder got them, so the asker may stop anywhere and ask again from there, or from
 * somebody else: the bytes prove themselves. Where both hold a place with two hashes, the holder sends that epoch from
 * its beginning: the first difference is the lowest fork.
 * Not guaranteed: that the holder has everything, or answers at all.
 */
export const RANGE_LIMITS = {
  /** Epochs that a request names. */
  epochs: 5000,
  /** The request: 5,000 epochs. */
  requestBytes: 512 * 1024,
  /** No frame for this long ends a pull: a tarpit holds nobody up. */
  idleMs: 5000,
  /** All of one answer. */
  answerMs: 10 * 60 * 1000,
  /** Answers under way in total: each holds a frame and a database iterator. */
  answering: 16,
  /** Of them for one peer: as many as it pulls at once, and no peer takes all. */
  answeringPerPeer: 4,
  /** Beyond the first of each peer, for all peers together: four that take slowly do not hold all of them. */
  further: 8,
  /** Per connection, both ways: answers of both sides. */
  streams: 8,
} as const;

export interface RangeRequest {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly have: readonly {
    readonly epoch: string;
    readonly seq: number;
    readonly hash: string;
    readonly fork?: string;
  }[];
}

/** Each epoch is a list of four; the map, its names, and the list of them beside. */
const REQUEST_ITEMS = RANGE_LIMITS.epochs * 5 + 16;
const malformed = (): AgrinetError => new AgrinetError('range-malformed', 'malformed range request');

export function encodeRangeRequest({ author, channel, have }: RangeRequest): Uint8Array {
  const items = have.map((h) => [
    fromHex(h.epoch),
    h.seq,
    fromHex(h.hash),
    h.fork === undefined ? null : fromHex(h.fork),
  ]);
  return encodeCbor({ author, channel, have: items });
}

/** Reads a request strictly. Throws `range-malformed` or `not-canonical`. */
export function decodeRangeRequest(data: Uint8Array): RangeRequest {
  const map =
    data.length > RANGE_LIMITS.requestBytes
      ? undefined
      : mapOf(decodeCbor(data, REQUEST_ITEMS), ['author', 'channel', 'have'] as const);
  const author = parsePeerId(map?.author);
  if (map === undefined || author === undefined || !isChannel(map.channel) || !Array.isArray(map.have))
    throw malformed();
  if (map.have.length > RANGE_LIMITS.epochs) throw malformed();
  const have = map.have.map((item: unknown) => {
    if (!Array.isArray(item) || item.length !== 4) throw malformed();
    const [epochValue, seqValue, hashValue, forkValue] = item as readonly unknown[];
    const epoch = bytesOf(epochValue, 8);
    const seq = integer(seqValue, 0);
    const hash = bytesOf(hashValue, 32) ?? bytesOf(hashValue, 0);
    const fork = forkValue === null ? null : bytesOf(forkValue, 32);
    if (epoch === undefined || seq === undefined || hash === undefined || fork === undefined)
      throw malformed();
    const base = { epoch: hex(epoch), seq, hash: hex(hash) };
    return fork === null ? base : { ...base, fork: hex(fork) };
  });
  return { author, channel: map.channel, have };
}

/** What a node asks with: every epoch it holds of this author and channel. */
export function rangeRequest(author: PeerId, channel: Channel, feeds: readonly FeedState[]): RangeRequest {
  const newest = [...feeds].sort((a, b) => b.no - a.no).slice(0, RANGE_LIMITS.epochs);
  const have = newest.map((feed) => {
    const base = { epoch: feed.epoch, ...effectiveHead(feed) };
    return feed.fork === undefined ? base : { ...base, fork: feed.fork.proof };
  });
  return { author, channel, have };
}

/** Everything the asker lacks, in an order it can take in. Pure but for reading the feeds. */
export async function* rangeItems(source: FeedSource, request: RangeRequest): AsyncGenerator<RangeItem> {
  const have = new Map(request.have.map((item) => [item.epoch, item]));
  const feeds = [...source.feeds(request.author, request.channel)].sort((a, b) => a.no - b.no);
  for (const feed of feeds) {
    const theirs = have.get(feed.epoch);
    if (feed.fork !== undefined && theirs?.fork !== feed.fork.proof) {
      const proof = await source.proof(feed.no);
      if (proof !== undefined) yield { kind: 'proof', bytes: proof.bytes };
    }
    const head = effectiveHead(feed);
    let from = (theirs?.seq ?? 0) + 1;
    if (
      theirs !== undefined &&
      theirs.seq > 0 &&
      theirs.seq <= head.seq &&
      (await hashAt(source, feed, theirs.seq)) !== theirs.hash
    )
      from = 1;
    if (from > head.seq) continue;
    const erasures = await source.erasures(feed, from, head.seq);
    let seq = from;
    for await (const entry of source.entriesFrom(feed.no, from, head.seq)) {
      for (; erasures[0]?.seq === seq; erasures.shift()) yield { kind: 'erasure', bytes: erasures[0].bytes };
      yield { kind: 'entry', bytes: entry };
      seq++;
    }
  }
}

async function hashAt(source: FeedSource, feed: FeedState, seq: number): Promise<string | undefined> {
  const head = effectiveHead(feed);
  return seq === head.seq ? head.hash : (await source.entry(feed.no, seq))?.hash;
}

/** The frames that come until the other side closes, each within the time of its own signal. */
async function* framesIn(frames: FramedStream, soon: () => AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    const frame = await frames.read(soon());
    if (frame === null) return;
    yield frame;
  }
}

export interface RangeProtocol {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Asks one peer; frames come as they arrive. Throws when the peer is silent for `idleMs`, trickles (`pull-slow`, `steady.ts`) or misbehaves. */
  pull(
    connection: PeerConnection,
    request: RangeRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RangeItem[]>;
}

export interface RangeComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline' | 'monotonic' | 'offload'>;
  readonly libp2p: StreamHost;
  readonly source: FeedSource;
  readonly access: Access;
  readonly onFailure: (peer: string, error: unknown) => void;
}

export function createRangeProtocol(
  { env, libp2p, source, access, onFailure }: RangeComponents,
  network: string,
): RangeProtocol {
  const protocol = `/agrinet/${network}/range/1`;
  const lanes = new AnswerLanes(RANGE_LIMITS);
  const turn = new CpuTurn(env);
  let stopping = new AbortController();

  async function answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const frames = framed(stream, {
      maxFrame: RANGE_LIMITS.requestBytes,
      maxSent: FRAME_LIMITS.frameBytes,
    });
    if (!access.mayReplicate(peer))
      return frames.abort(new AgrinetError('not-registered', 'not registered here'));
    const release = lanes.take(peer);
    if (release === undefined) return frames.abort(new AgrinetError('busy', 'too many answers under way'));
    try {
      await serve(frames, peer);
      release('taken');
    } catch (error) {
      const isSlow = errorCode(error) === 'stream-timeout';
      release(isSlow ? 'slow' : 'failed');
      frames.abort(error instanceof Error ? error : malformed());
      onFailure(
        peer,
        isSlow ? new AgrinetError('answer-slow', 'it took its answer too slowly', { cause: error }) : error,
      );
    }
  }

  async function serve(frames: FramedStream, peer: string): Promise<void> {
    const overall = AbortSignal.any([stopping.signal, env.deadline(RANGE_LIMITS.answerMs)]);
    const soon = (): AbortSignal => AbortSignal.any([overall, env.deadline(RANGE_LIMITS.idleMs * 4)]);
    const request = await frames.read(soon());
    if (request === null) throw malformed();
    await turn.pause(); // thousands of epochs are milliseconds to read
    const wanted = decodeRangeRequest(request);
    if (wanted.channel !== 'public' && !access.mayHold(peer, wanted.channel))
      throw new AgrinetError('not-a-participant', 'nothing to tell');
    for await (const frame of framesOf(rangeItems(source, wanted), env.offload))
      await frames.write(frame, soon());
    await frames.close(soon());
  }

  return {
    async start() {
      stopping = new AbortController();
      await libp2p.handle(protocol, answer, {
        maxInboundStreams: RANGE_LIMITS.streams,
        maxOutboundStreams: RANGE_LIMITS.streams,
      });
    },
    async stop() {
      stopping.abort();
      await libp2p.unhandle(protocol);
    },
    async *pull(connection, request, outer) {
      const soon = (): AbortSignal =>
        AbortSignal.any([outer, stopping.signal, env.deadline(RANGE_LIMITS.idleMs)]);
      const stream = await connection.newStream(protocol, { signal: soon() });
      const frames = framed(stream, {
        maxFrame: FRAME_LIMITS.frameBytes,
        maxSent: RANGE_LIMITS.requestBytes,
      });
      let done = false;
      try {
        await frames.write(encodeRangeRequest(request), soon());
        await frames.close(soon());
        for await (const frame of steady(framesIn(frames, soon), { error: pullSlow, now: env.monotonic })) {
          await turn.pause();
          yield await decodeRangeFrame(frame, env.offload);
        }
        done = true;
      } finally {
        if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
      }
    },
  };
}
