import {
  StrictNoSign,
  type GossipSub,
  type GossipsubOpts,
  type TopicValidatorResult,
} from '@libp2p/gossipsub';
import { createTopicScoreParams } from '@libp2p/gossipsub/score';
import type { Libp2p } from '@libp2p/interface';
import { AgrinetError } from '../protocols/errors.ts';
import { sha256 } from '../protocols/wire/bytes.ts';
import { LIMITS } from '../protocols/wire/limits.ts';
import type { Logger } from './logger.ts';

/** Limits of gossip, each with its reason. Times are milliseconds. */
export const GOSSIP_LIMITS = {
  /** What waits for one slow peer; beyond it its gossip stream is reset, and catch-up serves it. */
  backlogBytes: 8 * 1024 * 1024,
  /** One RPC: 1 MiB, because an answer to IWANT carries several entries. */
  rpcBytes: LIMITS.gossipEntryBytes * 16,
  /** How often the node checks for lost gossip streams. */
  watchMs: 5000,
} as const;

/** gossipsub with the part that asynchronous validation needs and its exported type leaves out. */
export interface Gossip extends GossipSub {
  reportMessageValidationResult(
    msgId: string,
    propagationSource: string,
    acceptance: TopicValidatorResult,
  ): void;
}

/** Far below the graylist: no gossip of a stranger is read, and none is sent to it. */
const STRANGER_SCORE = -1_000_000;
/** The pace of the protocol's specification: peers reckon with it. */
const HEARTBEAT_MS = 1000;

/** How gossipsub runs here: entries are signed already, so it signs nothing; strangers are below every threshold. */
export function gossipOptions(
  topic: string,
  isRegistered: (peerId: string) => boolean,
): Partial<GossipsubOpts> {
  return {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => sha256(message.data),
    allowedTopics: [topic],
    asyncValidation: true,
    emitSelf: false,
    floodPublish: true,
    doPX: false,
    fallbackToFloodsub: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    heartbeatInterval: HEARTBEAT_MS,
    // federations are small: up to nine nodes everybody is in everybody's mesh
    D: 8,
    Dlo: 6,
    Dhi: 12,
    Dout: 2,
    Dscore: 4,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    maxInboundDataLength: GOSSIP_LIMITS.rpcBytes,
    maxOutboundBufferSize: GOSSIP_LIMITS.backlogBytes,
    maxTopicBytesPerPeer: 8 * 1024,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: 1024,
      maxIhaveMessageIDs: 5000,
      maxIwantMessageIDs: 5000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 4,
    },
    scoreThresholds: { gossipThreshold: -100, publishThreshold: -500, graylistThreshold: -1000 },
    scoreParams: {
      appSpecificScore: (peerId) => (isRegistered(peerId) ? 0 : STRANGER_SCORE),
      appSpecificWeight: 1,
      // several nodes behind one address are common, and the registry already limits them
      IPColocationFactorWeight: 0,
      topics: {
        [topic]: createTopicScoreParams({
          topicWeight: 1,
          timeInMeshWeight: 0,
          firstMessageDeliveriesWeight: 0,
          // a quiet node is not a bad one
          meshMessageDeliveriesWeight: 0,
          meshFailurePenaltyWeight: 0,
          // after four entries that no honest node relays, the sender's gossip is ignored for a while
          invalidMessageDeliveriesWeight: -100,
          invalidMessageDeliveriesDecay: 0.9,
        }),
      },
    },
  };
}

/** The service with its whole interface; throws `internal` after an upgrade that took it away. */
export function asGossip(pubsub: GossipSub): Gossip {
  if (
    'reportMessageValidationResult' in pubsub &&
    typeof pubsub.reportMessageValidationResult === 'function'
  ) {
    return pubsub as Gossip;
  }
  throw new AgrinetError('internal', 'this gossipsub has no asynchronous validation');
}

/** gossipsub caches a score for a heartbeat; a peer that was a stranger a moment ago would be ignored that long. */
export function forgetScore(gossip: Gossip, peerId: string): void {
  const score: unknown = Reflect.get(gossip, 'score');
  if (typeof score !== 'object' || score === null) return;
  const cache: unknown = Reflect.get(score, 'scoreCache');
  if (cache instanceof Map) cache.delete(peerId);
}

/** How long a new connection may take to open its gossip stream by itself. */
const GOSSIP_GRACE_MS = 10_000;

/**
 * gossipsub opens its streams once per connection. When one of them was reset (a backlog too long, a frame too large),
 * that peer would be deaf until the connection ends: so end it.
 */
export function restartDeafGossip(
  libp2p: Libp2p,
  isRegistered: (peerId: string) => boolean,
  logger: Logger,
  now: number,
): void {
  const ready = new Map<string, boolean>();
  const old = libp2p.getConnections().filter((connection) => {
    const age = now - connection.timeline.open;
    // Opened later than now: the clock was set back meanwhile, and nothing is known of its age.
    const isStable = (age > GOSSIP_GRACE_MS || age < 0) && connection.status === 'open';
    return isStable && connection.limits === undefined && isRegistered(connection.remotePeer.toString());
  });
  for (const { remotePeer } of old) {
    const streams = libp2p.getConnections(remotePeer).flatMap((connection) => connection.streams);
    const gossip = streams.filter(
      (stream) => stream.protocol.startsWith('/meshsub/') && stream.status === 'open',
    );
    ready.set(
      remotePeer.toString(),
      gossip.some(({ direction }) => direction === 'inbound') &&
        gossip.some(({ direction }) => direction === 'outbound'),
    );
  }
  for (const connection of old) {
    const peer = connection.remotePeer.toString();
    if (ready.get(peer) !== false) continue;
    logger.warn({ peer }, 'gossip stream lost; reconnecting');
    connection.abort(new AgrinetError('gossip-lost', 'no gossip stream on this connection'));
  }
}
