import { streamPair } from '@libp2p/utils';
import type { Stream } from '@libp2p/interface';
import { systemEnv } from '../../daemon/system-env.ts';
import type { FeedState } from '../../protocols/feed/feed.ts';
import { Mycelium } from '../../protocols/mycelium/mycelium.ts';
import { Offences } from '../../protocols/mycelium/offences.ts';
import type { FeedSource } from '../../protocols/mycelium/ports.ts';
import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import type { PeerConnection, StreamHandler, StreamHost } from '../../protocols/wire/stream.ts';
import { FeedTable } from '../../storage/feed-table.ts';
import { inlineReader } from './inline-reader.ts';

/** One of two nodes: what it holds, and what its exchanges have come to. */
export interface PairedNode {
  readonly peer: PeerId;
  readonly feeds: FeedTable;
  /** Owner digests. */
  readonly digests: Map<string, string>;
  readonly events: PullEvent[];
  readonly mycelium: Mycelium;
  /** Who takes part in a private channel. */
  readonly participants: Map<string, readonly string[]>;
  /** Streams opened from here, by protocol. */
  readonly opened: string[];
}

export interface MyceliumPair {
  readonly nodes: readonly [PairedNode, PairedNode];
  /** A stream from the first to the second, on which the caller says what it likes. */
  open(protocol: string): Promise<FramedStream>;
  /** Bytes that both have sent on streams so far, length prefixes included. */
  bytes(): number;
  stop(): Promise<void>;
}

/** Two nodes over one connection, without anything to pull: what their exchanges say and cost. `old` peers speak only the first version; streams of `deaf` protocols cannot be opened. */
export async function myceliumPair(
  [first, second]: readonly [PeerId, PeerId],
  { old = [], deaf = [] }: { readonly old?: readonly PeerId[]; readonly deaf?: readonly string[] } = {},
): Promise<MyceliumPair> {
  let bytes = 0;
  const handlers = new Map<PeerId, Map<string, StreamHandler>>();
  const counted = (stream: Stream): Stream => {
    const send = stream.send.bind(stream);
    stream.send = (data) => {
      bytes += data.byteLength;
      return send(data);
    };
    return stream;
  };
  const connectionOf = (from: PeerId, to: PeerId, opened: string[]): PeerConnection => ({
    remotePeer: { toString: () => to },
    status: 'open',
    timeline: { open: 0 },
    newStream: async (protocols) => {
      const spoken = handlers.get(to);
      const protocol = [protocols]
        .flat()
        .find((each) => spoken?.has(each) && (!old.includes(from) || each.endsWith('/1')));
      const handler = protocol === undefined ? undefined : spoken?.get(protocol);
      if (protocol === undefined || handler === undefined || deaf.some((each) => protocol.endsWith(each)))
        throw new Error('not spoken');
      const [ours, theirs] = await streamPair();
      for (const stream of [ours, theirs]) stream.protocol = protocol;
      opened.push(protocol);
      void handler(counted(theirs), connectionOf(to, from, []));
      return counted(ours);
    },
  });
  const node = async (peer: PeerId, other: PeerId): Promise<PairedNode> => {
    const feeds = new FeedTable();
    const [digests, participants] = [new Map<string, string>(), new Map<string, readonly string[]>()];
    const events: PullEvent[] = [];
    const opened: string[] = [];
    const spoken = new Map<string, StreamHandler>();
    handlers.set(peer, spoken);
    const connection = connectionOf(peer, other, opened);
    const libp2p: StreamHost = {
      handle: async (protocol, handler) => {
        if (!old.includes(peer) || protocol.endsWith('/1')) spoken.set(protocol, handler);
      },
      unhandle: async (protocol) => void spoken.delete(protocol),
      getConnections: () => [connection],
    };
    const source: FeedSource = {
      feeds: (author, channel) => feeds.of(author, channel),
      feedGroups: () => feeds.groups(),
      gap: () => undefined,
      async *entriesFrom() {},
      entry: async () => undefined,
      proof: async () => undefined,
      erasures: async () => [],
    };
    const mycelium = new Mycelium(
      {
        env: systemEnv,
        self: peer,
        libp2p,
        source,
        reader: inlineReader(),
        ledger: {} as never,
        access: {
          mayReplicate: () => true,
          mayHold: (who, channel) => participants.get(channel)?.includes(who) ?? false,
        },
        offences: new Offences(),
        digestOf: (author) => digests.get(author) ?? '',
        follows: () => true,
        participants: (channel) => participants.get(channel) ?? [],
        publish: async () => undefined,
        now: () => performance.now(),
        onEvent: (event) => events.push(event),
      },
      'test',
    );
    await mycelium.start();
    return { peer, feeds, digests, events, mycelium, participants, opened };
  };
  const nodes = [await node(first, second), await node(second, first)] as const;
  return {
    nodes,
    open: async (protocol) => {
      const stream = await connectionOf(first, second, []).newStream(protocol, {
        signal: AbortSignal.timeout(5000),
      });
      return new FramedStream(stream, { maxFrame: 65_536 });
    },
    bytes: () => bytes,
    async stop() {
      for (const { mycelium } of nodes) await mycelium.stop();
    },
  };
}

let lastNo = 0;
/** A feed held up to `seq`, the same on whichever node. */
export function heldFeed(author: PeerId, seq: number, channel: Channel = 'public', epoch = 1): FeedState {
  return {
    no: ++lastNo,
    author,
    channel,
    epoch: epoch.toString(16).padStart(16, '0'),
    seq,
    hash: sha256Hex(`${author} ${channel} ${epoch} ${seq}`),
    after: [],
    day: 0,
  };
}
