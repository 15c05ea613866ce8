import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { type Announcement, decodeMessage, encodeMessage } from './message.ts';
import type { Access } from './ports.ts';

/**
 * Direct announcements, `/agrinet/<network>/announce/1`: one frame with one announcement, no answer. Entries of a private
 * channel are made known this way to the participants alone and pulled over the range protocol; they never touch gossip.
 * Not guaranteed: delivery. A frontier exchange makes up for it, which follows soon where the sender has seen it fail.
 */
export const ANNOUNCE_LIMITS = {
  /** One notice: a reference to a feed's newest entry, far below. */
  frameBytes: 1024,
  /** A notice that takes longer is dropped: the frontier exchange makes up for it. */
  ms: 3000,
  /** Per connection, both ways: a burst of private writes has one each. */
  streams: 16,
} as const;

export interface AnnounceProtocol {
  start(): Promise<void>;
  stop(): Promise<void>;
  announce(connection: PeerConnection, announcement: Announcement): Promise<void>;
}

export function createAnnounceProtocol(
  components: {
    readonly env: Pick<Env, 'deadline'>;
    readonly libp2p: StreamHost;
    readonly access: Access;
    readonly onAnnouncement: (connection: PeerConnection, announcement: Announcement) => void;
    readonly onFailure: (peer: string, error: unknown) => void;
  },
  network: string,
): AnnounceProtocol {
  const { env, libp2p, access, onAnnouncement, onFailure } = components;
  const protocol = `/agrinet/${network}/announce/1`;

  async function answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, { maxFrame: ANNOUNCE_LIMITS.frameBytes });
    try {
      if (!access.mayReplicate(peer)) throw new AgrinetError('not-registered', 'not registered here');
      const signal = env.deadline(ANNOUNCE_LIMITS.ms);
      const message = decodeMessage(await frames.readNext(signal));
      if (message.kind !== 'announcement') throw new AgrinetError('message-malformed', 'not an announcement');
      await frames.close(signal);
      onAnnouncement(connection, message.announcement);
    } catch (error) {
      frames.abort(error);
      onFailure(peer, error);
    }
  }

  return {
    start: () =>
      libp2p.handle(protocol, answer, {
        maxInboundStreams: ANNOUNCE_LIMITS.streams,
        maxOutboundStreams: ANNOUNCE_LIMITS.streams,
      }),
    stop: () => libp2p.unhandle(protocol),
    async announce(connection, announcement) {
      const signal = env.deadline(ANNOUNCE_LIMITS.ms);
      const stream = await connection.newStream(protocol, { signal });
      const frames = new FramedStream(stream, { maxFrame: ANNOUNCE_LIMITS.frameBytes });
      try {
        await frames.write(encodeMessage({ kind: 'announcement', announcement }), signal);
        await frames.close(signal);
        await frames.read(signal);
      } catch (error) {
        frames.abort(error);
        throw error;
      }
    },
  };
}
