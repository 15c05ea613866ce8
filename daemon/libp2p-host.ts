import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import { gossipsub, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type { Connection, ConnectionGater, Libp2p } from '@libp2p/interface';
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht';
import { ping, type Ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p, type Libp2pOptions } from 'libp2p';
import { STRANGER_LIMITS } from '../protocols/discovery/stranger-slots.ts';
import { type Env, every } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { Identity } from '../protocols/wire/identity.ts';
import type { PeerConnection, StreamHost } from '../protocols/wire/stream.ts';
import { checkedLookup, type Resolve } from './checked-lookup.ts';
import { pingConnection } from './connection-ping.ts';
import { DhtStore } from './dht-store.ts';
import {
  asGossip,
  forgetScore,
  GOSSIP_LIMITS,
  gossipOptions,
  restartDeafGossip,
  type Gossip,
} from './gossip-host.ts';
import { gossipTopic, type GossipTopic } from './gossip-topic.ts';
import { stopLibp2p } from './libp2p-stop.ts';
import type { Logger } from './logger.ts';
import { StrangerGate, type StrangerGateOptions } from './stranger-gate.ts';

/** Limits of the host, each with its reason. Times are milliseconds, sizes bytes. */
export const HOST_LIMITS = {
  /** Above every registry we foresee; strangers are held far below it by their slots. */
  connections: 4096,
  /** Connections of one registered peer; beyond them the oldest goes, which is likely the dead one. */
  connectionsPerPeer: 4,
  /** Concurrent handshakes as libp2p counts them; far above what `PENDING_LIMITS` allows, because libp2p would refuse the newest. */
  pendingInbound: 1024,
  /** New connections per second from one address: a registered peer may be behind the same NAT as an attacker. */
  inboundPerSecond: 500,
  /** A handshake is four round trips. */
  upgradeMs: 5000,
  /** Connecting and the handshake: a dozen round trips over a satellite. */
  dialMs: 5000,
  /** Unread data in flight for one stream: 10 MB/s at 100 ms, and bounded memory. */
  streamWindow: 1024 * 1024,
  /** Streams of one connection. */
  streamsPerConnection: 256,
} as const;

export interface HostOptions extends StrangerGateOptions {
  /** Its `now` must be the clock that libp2p goes by: the machine's own. */
  readonly env: Pick<Env, 'now' | 'monotonic' | 'bytes' | 'after'>;
  readonly identity: Identity;
  readonly network: string;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs to announce instead of those listened on. */
  readonly announce?: readonly string[];
  /** A libp2p pre-shared key file (`/key/swarm/psk/1.0.0/…`); only nodes with the same one can connect. */
  readonly psk?: Uint8Array;
  readonly mdns?: boolean;
  /**
   * Dial through circuit relays, and be one for registered peers. To be reachable through one, listen on its
   * `<multiaddr>/p2p-circuit`; a bare `/p2p-circuit` searches for relays without pause while nobody is connected.
   */
  readonly relay?: boolean;
  /** How names are resolved; the system's way otherwise. */
  readonly resolve?: Resolve | undefined;
  readonly logger: Logger;
}

/** The services of our libp2p node. */
export interface HostServices extends Record<string, unknown> {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly dht: KadDHT;
  readonly pubsub: GossipSub;
}

export interface Host {
  readonly libp2p: Libp2p<HostServices>;
  readonly dht: KadDHT;
  readonly gossip: Gossip;
  /** The name of the one topic of entries and announcements. */
  readonly topic: string;
  readonly entries: GossipTopic;
  /** Opens streams and answers them. */
  readonly streams: StreamHost;
  readonly onConnection: (listener: (connection: PeerConnection) => void) => void;
  readonly peerId: string;
  /** One round trip over this very connection, in milliseconds; throws when the signal fires first. */
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
  /**
   * To be called after a peer's registration changed: drops its connections, so that both sides start again under the new rules
   * (gossipsub has ignored what it subscribed to as a stranger). The supervisor dials it again.
   */
  readmit(peerId: string): void;
  stop(): Promise<void>;
}

/** Starts the libp2p node. Throws `port-busy` when no address can be listened on. */
export async function createHost(options: HostOptions): Promise<Host> {
  const { env, isRegistered, logger } = options;
  const { prefix, topic } = namesOf(options);
  let connections: () => Connection[] = () => [];
  const gate = new StrangerGate(options, () => connections());
  const libp2p = await createLibp2p<HostServices>(await libp2pOptions(options, gate.gater));
  connections = () => libp2p.getConnections();
  libp2p.addEventListener('connection:open', ({ detail }) => boundConnections(libp2p, options, gate, detail));

  const gossip = asGossip(libp2p.services.pubsub);
  await startListening(libp2p, gossip, options.listen);
  const watch = every(env, GOSSIP_LIMITS.watchMs, () =>
    restartDeafGossip(libp2p, isRegistered, logger, env.now()),
  );
  return {
    libp2p,
    dht: libp2p.services.dht,
    gossip,
    topic,
    entries: gossipTopic(gossip, topic),
    streams: libp2p,
    onConnection: (listener) => libp2p.addEventListener('connection:open', ({ detail }) => listener(detail)),
    peerId: libp2p.peerId.toString(),
    ping: (connection, signal) => pingConnection(env, connection, `/${prefix}/ping/1.0.0`, signal),
    readmit(peerId) {
      forgetScore(gossip, peerId);
      for (const connection of connections()) {
        if (connection.remotePeer.toString() !== peerId) continue;
        connection.abort(new AgrinetError('readmitted', 'the registration of this peer changed'));
      }
    },
    async stop() {
      watch.cancel();
      await stopLibp2p(libp2p, gossip);
    },
  };
}

function namesOf({ network }: Pick<HostOptions, 'network'>) {
  const prefix = `agrinet/${network}`;
  return { prefix, topic: `/${prefix}/entries/1` };
}

async function libp2pOptions(
  options: HostOptions,
  connectionGater: ConnectionGater,
): Promise<Libp2pOptions<HostServices>> {
  const { network, identity, isRegistered, listen, announce = [] } = options;
  const { prefix, topic } = namesOf(options);
  const { relay, mdns, psk } = await loadOptional(options);
  return {
    start: false,
    privateKey: privateKeyFromRaw(identity.privateKeyRaw),
    datastore: new DhtStore(),
    addresses: { listen: [...listen], announce: [...announce] },
    transports: [
      tcp({ dialOpts: dialOptions(options), listenOpts: { noDelay: true, keepAlive: true } }),
      ...(relay === undefined ? [] : [relay.circuitRelayTransport()]),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: HOST_LIMITS.streamsPerConnection,
        maxOutboundStreams: HOST_LIMITS.streamsPerConnection,
        streamOptions: { maxStreamWindowSize: HOST_LIMITS.streamWindow },
      }),
    ],
    ...(psk === undefined ? {} : { connectionProtector: psk }),
    ...(mdns === undefined
      ? {}
      : { peerDiscovery: [mdns({ serviceTag: `_agrinet-${network}._udp.local` })] }),
    connectionGater,
    // the supervisor pings, and knows whom it expects
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: HOST_LIMITS.connections,
      maxIncomingPendingConnections: HOST_LIMITS.pendingInbound,
      inboundConnectionThreshold: HOST_LIMITS.inboundPerSecond,
      inboundUpgradeTimeout: HOST_LIMITS.upgradeMs,
      dialTimeout: HOST_LIMITS.dialMs,
      addressDialTimeout: HOST_LIMITS.dialMs,
      // the supervisor redials; libp2p's own way gives up after half a minute
      reconnectRetries: 0,
    },
    services: {
      identify: identify({ protocolPrefix: prefix, timeout: HOST_LIMITS.upgradeMs }),
      ping: ping({ protocolPrefix: prefix, maxInboundStreams: 4, timeout: HOST_LIMITS.upgradeMs }),
      dht: kadDHT({
        protocol: `/${prefix}/kad/1`,
        // both are needed on private addresses: either one alone finds nobody
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        initialQuerySelfInterval: 200,
        maxInboundStreams: 16,
        maxOutboundStreams: 32,
      }),
      pubsub: gossipsub(gossipOptions(topic, isRegistered)),
      ...(relay === undefined ? {} : { relay: relay.circuitRelayServer() }),
    },
  };
}

/** Aborts the oldest connections above what one peer may have, and a stranger above the slots. */
function boundConnections(
  libp2p: Libp2p,
  { isRegistered }: HostOptions,
  gate: StrangerGate,
  opened: Connection,
): void {
  const registered = isRegistered(opened.remotePeer.toString());
  const most = registered ? HOST_LIMITS.connectionsPerPeer : STRANGER_LIMITS.perPeer;
  const own = libp2p.getConnections(opened.remotePeer).toSorted((a, b) => a.timeline.open - b.timeline.open);
  for (const old of own.slice(0, Math.max(0, own.length - most)))
    old.abort(
      new AgrinetError('too-many-connections', 'a newer connection of the same peer replaces this one'),
    );
  if (!registered && gate.isOverfull)
    opened.abort(new AgrinetError('no-slot', 'no slot for strangers is free'));
}

/** Throws `port-busy`. */
async function startListening(libp2p: Libp2p, gossip: Gossip, listen: readonly string[]): Promise<void> {
  try {
    await libp2p.start();
  } catch (error) {
    await stopLibp2p(libp2p, gossip);
    throw new AgrinetError(
      'port-busy',
      `cannot listen for peers on ${listen.join(', ')}; another process may: stop it or set MYCELIUM_PORT`,
      { cause: error, details: { listen } },
    );
  }
}

/** Code that only some nodes use is loaded on demand: most of the startup time is loading modules. */
async function loadOptional({ relay, mdns, psk }: HostOptions) {
  return {
    relay: relay === true ? await import('@libp2p/circuit-relay-v2') : undefined,
    mdns: mdns === true ? (await import('@libp2p/mdns')).mdns : undefined,
    psk: psk === undefined ? undefined : (await import('@libp2p/pnet')).preSharedKey({ psk }),
  };
}

/** libp2p hands these to net.connect as they are: its own look-up of a name is the one whose answer is checked. */
function dialOptions({ rule, resolve }: Pick<HostOptions, 'rule' | 'resolve'>) {
  const lookup =
    rule === undefined ? undefined : checkedLookup((name, ip) => rule.nameRefusal(name, ip), resolve);
  return { noDelay: true, keepAlive: true, ...(lookup === undefined ? {} : { lookup }) };
}
