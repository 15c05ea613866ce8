import { randomBytes } from 'node:crypto';
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import { gossipsub, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type {
  Connection,
  ConnectionGater,
  Libp2p,
  MultiaddrConnection,
  PeerId,
  Stream,
} from '@libp2p/interface';
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht';
import { ping, type Ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { byteStream } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { AgrinetError } from '../protocols/errors.ts';
import { type Slot, slotFor, STRANGER_LIMITS, type Stranger } from '../protocols/discovery/stranger-slots.ts';
import type { DialRule } from '../protocols/discovery/dial-rule.ts';
import type { PeerConnection, StreamHost } from '../protocols/wire/stream.ts';
import { rangeOf } from '../protocols/wire/address-range.ts';
import type { Identity } from '../protocols/wire/identity.ts';
import { checkedLookup, type Resolve } from './checked-lookup.ts';
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
import { hostOf, PendingInbound } from './pending-inbound.ts';

/** Limits of the host, each with its reason. Times are milliseconds, sizes bytes. */
export const HOST_LIMITS = {
  /** Above every registry we foresee; strangers are held far below it by their slots. */
  connections: 4096,
  /** Connections of one registered peer; beyond them the oldest goes, which is likely the dead one. */
  connectionsPerPeer: 4,
  /** Handshakes under way at once, as libp2p counts them; far above what `PENDING_LIMITS` lets stand, as it would refuse the newest. */
  pendingInbound: 1024,
  /** New connections per second from one address: a registered peer may sit behind one NAT with whoever floods us. */
  inboundPerSecond: 500,
  /** A handshake is four round trips. */
  upgradeMs: 5000,
  /** Connecting and the handshake: a dozen round trips over a satellite. */
  dialMs: 5000,
  /** What one stream may have under way unread: 10 MB/s at 100 ms, and bounded memory. */
  streamWindow: 1024 * 1024,
  /** Streams of one connection. */
  streamsPerConnection: 256,
} as const;

export interface HostOptions {
  readonly identity: Identity;
  readonly network: string;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell others instead of those listened on. */
  readonly announce?: readonly string[];
  /** A libp2p pre-shared key file (`/key/swarm/psk/1.0.0/…`); without the same one nobody connects. */
  readonly psk?: Uint8Array;
  readonly mdns?: boolean;
  /**
   * Dial through circuit relays, and be one for registered peers. To be reached through one, listen on its
   * `<multiaddr>/p2p-circuit`; a bare `/p2p-circuit` searches for relays without pause while nobody is connected.
   */
  readonly relay?: boolean;
  /** Asked often, and at the moment of every decision: must be a look-up in memory. */
  readonly isRegistered: (peerId: string) => boolean;
  /** Connections strangers may hold, in both directions together; see `STRANGER_LIMITS`. */
  readonly strangerSlots: number;
  /** How long a stranger cannot be put out, milliseconds; for tests. */
  readonly strangerGraceMs?: number;
  /** Which addresses may be dialled, whoever named them, and what a name may lead to. */
  readonly rule?: Pick<DialRule, 'mayDial' | 'nameRefusal'>;
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
  /** What opens streams and answers them. */
  readonly streams: StreamHost;
  readonly onConnection: (listener: (connection: PeerConnection) => void) => void;
  readonly peerId: string;
  /** One round trip over this very connection, in milliseconds; throws when the signal fires first. */
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
  /**
   * To be called after a peer's registration changed: drops its connections, so that both sides start anew under the new
   * rules (gossipsub has ignored what it subscribed to as a stranger). The supervisor dials it again.
   */
  readmit(peerId: string): void;
  stop(): Promise<void>;
}

/** Starts the libp2p node. Throws `port-busy` when no address can be listened on. */
export async function createHost(options: HostOptions): Promise<Host> {
  const { network, identity, isRegistered, logger } = options;
  const prefix = `agrinet/${network}`;
  const topic = `/${prefix}/entries/1`;
  const privateKey = privateKeyFromRaw(identity.privateKeyRaw);
  let connections: () => Connection[] = () => [];
  const { relay, mdns, psk } = await loadOptional(options);

  const libp2p = await createLibp2p<HostServices>({
    start: false,
    privateKey,
    datastore: new DhtStore(),
    addresses: {
      listen: [...options.listen],
      announce: [...(options.announce ?? [])],
    },
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
    connectionGater: strangerGate(options, () => connections()),
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
  });
  connections = () => libp2p.getConnections();
  const gossip = asGossip(libp2p.services.pubsub);

  libp2p.addEventListener('connection:open', ({ detail: opened }) => {
    const id = opened.remotePeer.toString();
    const registered = isRegistered(id);
    const most = registered ? HOST_LIMITS.connectionsPerPeer : STRANGER_LIMITS.perPeer;
    const own = libp2p
      .getConnections(opened.remotePeer)
      .toSorted((a, b) => a.timeline.open - b.timeline.open);
    for (const old of own.slice(0, Math.max(0, own.length - most))) {
      old.abort(
        new AgrinetError('too-many-connections', 'a newer connection of the same peer replaces this one'),
      );
    }
    // handshakes that ran at the same moment may each have seen the last free slot
    if (!registered && strangersAmong(connections(), isRegistered).length > options.strangerSlots) {
      opened.abort(new AgrinetError('no-slot', 'no slot for strangers is free'));
    }
  });

  try {
    await libp2p.start();
  } catch (error) {
    await stopLibp2p(libp2p, gossip);
    const where = options.listen.join(', ');
    throw new AgrinetError(
      'port-busy',
      `cannot listen for peers on ${where}; another process may: stop it or set MYCELIUM_PORT`,
      {
        cause: error,
        details: { listen: options.listen },
      },
    );
  }
  const gossipWatch = setInterval(
    () => restartDeafGossip(libp2p, isRegistered, logger),
    GOSSIP_LIMITS.watchMs,
  );
  gossipWatch.unref();

  return {
    libp2p,
    dht: libp2p.services.dht,
    gossip,
    topic,
    entries: gossipTopic(gossip, topic),
    streams: libp2p,
    onConnection: (listener) => libp2p.addEventListener('connection:open', ({ detail }) => listener(detail)),
    peerId: libp2p.peerId.toString(),
    ping: (connection, signal) => pingConnection(connection, `/${prefix}/ping/1.0.0`, signal),
    readmit(peerId) {
      forgetScore(gossip, peerId);
      for (const connection of connections()) {
        if (connection.remotePeer.toString() !== peerId) continue;
        connection.abort(new AgrinetError('readmitted', 'the registration of this peer changed'));
      }
    },
    async stop() {
      clearInterval(gossipWatch);
      await stopLibp2p(libp2p, gossip);
    },
  };
}

/** What only some nodes use is loaded only there: a start is mostly the loading of modules. */
async function loadOptional({ relay, mdns, psk }: HostOptions) {
  return {
    relay: relay === true ? await import('@libp2p/circuit-relay-v2') : undefined,
    mdns: mdns === true ? (await import('@libp2p/mdns')).mdns : undefined,
    psk: psk === undefined ? undefined : (await import('@libp2p/pnet')).preSharedKey({ psk }),
  };
}

/** libp2p hands these to net.connect as they are: its own look-up of a name is the one whose answer is judged. */
function dialOptions({ rule, resolve }: Pick<HostOptions, 'rule' | 'resolve'>) {
  const lookup =
    rule === undefined ? undefined : checkedLookup((name, ip) => rule.nameRefusal(name, ip), resolve);
  return { noDelay: true, keepAlive: true, ...(lookup === undefined ? {} : { lookup }) };
}

function strangersAmong(all: readonly Connection[], isRegistered: (peerId: string) => boolean): Connection[] {
  return all.filter(({ status, remotePeer }) => status === 'open' && !isRegistered(remotePeer.toString()));
}

/** What strangers ask: while such a stream is open, somebody waits for an answer. */
const ASKING = /\/(kad|peers)\//;

function asStranger(connection: Connection): Stranger {
  const { name, limited } = rangeOf(hostOf(connection));
  return {
    id: connection.id,
    peerId: connection.remotePeer.toString(),
    range: name,
    limited,
    direction: connection.direction,
    openedAt: connection.timeline.open,
    busy: connection.streams.some(({ protocol }) => ASKING.test(protocol)),
  };
}

/** Registered peers always pass; strangers while a slot is free, or one of them can be put out for another. */
function strangerGate(options: HostOptions, connections: () => Connection[]): ConnectionGater {
  const { isRegistered, strangerSlots, rule } = options;
  const pending = new PendingInbound();
  function slot(peer: PeerId, direction: 'inbound' | 'outbound', over: MultiaddrConnection): Slot {
    const { name, limited } = rangeOf(hostOf(over));
    const newcomer = { peerId: peer.toString(), range: name, limited, direction };
    const held = strangersAmong(connections(), isRegistered).map(asStranger);
    return slotFor(held, newcomer, strangerSlots, Date.now(), options.strangerGraceMs);
  }
  function refuse(peer: PeerId, direction: 'inbound' | 'outbound', over: MultiaddrConnection): boolean {
    return !isRegistered(peer.toString()) && slot(peer, direction, over) === 'none';
  }
  /** The last word before a connection stands: whoever goes for it goes now. */
  function takeSlot(peer: PeerId, direction: 'inbound' | 'outbound', over: MultiaddrConnection): boolean {
    if (isRegistered(peer.toString())) return true;
    const found = slot(peer, direction, over);
    if (typeof found === 'object')
      connections()
        .find(({ id }) => id === found.evict)
        ?.abort(new AgrinetError('slot-given-on', 'the slot of this stranger went to another'));
    return found !== 'none';
  }
  return {
    denyInboundConnection(over) {
      pending.arrived(over);
      return false;
    },
    denyInboundEncryptedConnection(peer, over) {
      // A stranger stays under suspicion until all of its connection stands.
      if (isRegistered(peer.toString())) pending.settled(over);
      return refuse(peer, 'inbound', over);
    },
    denyInboundUpgradedConnection(peer, over) {
      pending.settled(over);
      return !takeSlot(peer, 'inbound', over);
    },
    denyOutboundEncryptedConnection: (peer, over) => refuse(peer, 'outbound', over),
    denyOutboundUpgradedConnection: (peer, over) => !takeSlot(peer, 'outbound', over),
    denyInboundRelayReservation: (peer) => !isRegistered(peer.toString()),
    ...(rule === undefined
      ? {}
      : {
          denyDialMultiaddr: (address: Multiaddr) => !rule.mayDial(address, peerIdIn(address)),
          filterMultiaddrForPeer: (peer: PeerId, address: Multiaddr) =>
            rule.mayDial(address, peer.toString()),
        }),
  };
}

function peerIdIn(address: Multiaddr): string | undefined {
  return address.getComponents().findLast((part) => part.name === 'p2p')?.value;
}

/** libp2p's ping, but over one given connection: with two to a peer, the dead one must be found too. */
async function pingConnection(
  connection: Connection,
  protocol: string,
  signal: AbortSignal,
): Promise<number> {
  const started = performance.now();
  let stream: Stream | undefined;
  try {
    stream = await connection.newStream(protocol, { signal, runOnLimitedConnection: true });
    const bytes = byteStream(stream, { maxBufferSize: 1024 });
    const sent = randomBytes(32);
    await bytes.write(sent, { signal });
    const got = await bytes.read({ bytes: sent.length, signal });
    if (!sent.equals(got.subarray())) throw new AgrinetError('ping-mismatch', 'a ping came back altered');
    await stream.close({ signal });
    return performance.now() - started;
  } catch (error) {
    stream?.abort(error instanceof Error ? error : new Error('ping failed'));
    throw error;
  }
}
