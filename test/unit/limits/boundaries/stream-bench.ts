import type { PeerConnection, StreamHandler, StreamHost } from '../../../../protocols/wire/stream.ts';
import { FramedStream } from '../../../../protocols/wire/framed-stream.ts';
import type { PeerId } from '../../../../protocols/wire/identity.ts';
import { VirtualStream } from '../../../sim/world/streams.ts';
import { errorCode } from '../../../../protocols/errors.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';

/** The answering side of one protocol of ours, and streams to it that arrive at once; nothing in it waits for the machine. */
export class StreamBench {
  readonly failures: string[] = [];
  readonly libp2p: StreamHost = {
    handle: async (_, handler) => {
      this.#handler = handler;
    },
    unhandle: async () => undefined,
    getConnections: () => [],
  };
  readonly onFailure = (_peer: string, error: unknown): void => void this.failures.push(errorCode(error));
  #handler: StreamHandler | undefined;

  /** A stream that this peer opens: its own end of it. */
  open(peer: PeerId = nodeOf(2).peerId): { stream: VirtualStream; frames: FramedStream } {
    const [near, far] = streamsOf();
    void this.#handler?.(far, connectionTo(peer));
    return { stream: near, frames: new FramedStream(near, { maxFrame: 2 ** 24 }) };
  }
}

function streamsOf(): [VirtualStream, VirtualStream] {
  const end = (): VirtualStream =>
    new VirtualStream(
      'any',
      (arrive) => queueMicrotask(arrive),
      () => undefined,
    );
  const [near, far] = [end(), end()];
  VirtualStream.join(near, far);
  return [near, far];
}

function connectionTo(peer: PeerId): PeerConnection {
  const newStream = (): Promise<never> => Promise.reject(new Error('nothing is asked of it'));
  return { remotePeer: { toString: () => peer }, status: 'open', timeline: { open: 0 }, newStream };
}
