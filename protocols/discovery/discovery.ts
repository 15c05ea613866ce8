import type { Connection, Libp2p, Libp2pEvents, PeerInfo } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import type { Env, Timer } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { AddressBook, AddressSource } from './address-book.ts';
import { Dialer } from './dialer.ts';
import { PeerExchange } from './peer-exchange.ts';
import { Rendezvous } from './rendezvous.ts';
import { type SupervisedPeer, type SupervisorComponents, Supervisor } from './supervisor.ts';

/** How often one connected peer is asked for others, on average. Milliseconds. */
const EXCHANGE_EVERY_MS = 60_000;

export interface DiscoveryComponents {
  readonly env: Pick<Env, 'after' | 'deadline' | 'monotonic' | 'now' | 'random'>;
  readonly libp2p: Libp2p;
  readonly dht: KadDHT;
  readonly book: AddressBook;
  /** One round trip over one connection. */
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
  /** Ordinary failures: a static message, and fields. */
  readonly onDebug: (message: string, fields: Record<string, unknown>) => void;
}

export interface DiscoveryOptions {
  readonly network: string;
  readonly region: string;
  /** Multiaddrs, with or without `/p2p/<peer id>`. */
  readonly bootstrap: readonly string[];
  /** Strangers are dialled while fewer peers than this are connected. */
  readonly targetDegree: number;
  /** Whether signed records are exchanged with connected peers; on unless set off. */
  readonly peerExchange?: boolean;
}

type Listener<Name extends 'peer:identify' | 'peer:discovery' | 'peer:connect'> = (
  event: Libp2pEvents[Name],
) => void;

/** Finds peers and stays connected to them, by a supervisor, a rendezvous and a peer exchange over one libp2p node. What it finds are candidates, not members. */
export class Discovery {
  readonly #parts: DiscoveryComponents;
  readonly #options: DiscoveryOptions;
  readonly #self: string;
  readonly #supervisor: Supervisor;
  readonly #exchange: PeerExchange;
  readonly #rendezvous: Rendezvous;
  /** Peers that are being asked for others. */
  readonly #asking = new Set<string>();
  #stopping = new AbortController();
  #timer: Timer | undefined;

  constructor(components: DiscoveryComponents, options: DiscoveryOptions) {
    const { env, libp2p, dht, onDebug } = components;
    this.#parts = components;
    this.#options = options;
    this.#self = libp2p.peerId.toString();
    this.#supervisor = new Supervisor(supervisorComponents(components), options);
    this.#exchange = new PeerExchange(
      {
        env,
        libp2p,
        onFailure: (peer, error) => onDebug('peer exchange refused', { peer, err: error }),
      },
      options,
    );
    this.#rendezvous = new Rendezvous(
      {
        env,
        dht,
        tableSize: () => this.tableSize(),
        onFound: (peer) => this.#found(peer),
        onFailure: (error) => onDebug('rendezvous failed', { err: error }),
      },
      options,
    );
  }

  async start(): Promise<void> {
    const { env, libp2p, book } = this.#parts;
    this.#stopping = new AbortController();
    if (this.#options.peerExchange !== false) await this.#exchange.start();
    libp2p.addEventListener('peer:identify', this.#onIdentify);
    libp2p.addEventListener('peer:discovery', this.#onDiscovered);
    libp2p.addEventListener('peer:connect', this.#onConnected);
    this.#supervisor.start();
    for (const { peerId } of book.entries()) this.#supervisor.addCandidate(peerId);
    this.#rendezvous.start();
    this.#askAfter(EXCHANGE_EVERY_MS * env.random());
  }

  async stop(): Promise<void> {
    const { libp2p, book } = this.#parts;
    this.#stopping.abort();
    this.#timer?.cancel();
    libp2p.removeEventListener('peer:identify', this.#onIdentify);
    libp2p.removeEventListener('peer:discovery', this.#onDiscovered);
    libp2p.removeEventListener('peer:connect', this.#onConnected);
    await Promise.all([this.#supervisor.stop(), this.#rendezvous.stop(), this.#exchange.stop()]);
    await book.stop();
  }

  /** The peers that are redialled for ever; replaces the former list. */
  setRegistered(peerIds: readonly string[]): void {
    this.#supervisor.setRegistered(peerIds);
  }

  /** Notes where a peer is (registration, a peer's URL) and dials it: at once when it is registered. */
  addPeer(peerId: string, addresses: readonly string[], source: AddressSource): void {
    if (peerId === this.#self) return;
    this.#parts.book.add(peerId, addresses, source);
    this.#supervisor.addCandidate(peerId);
    this.#supervisor.dialNow(peerId);
  }

  /** Dials a registered peer now: it has just been heard from. */
  dialNow(peerId: string): void {
    this.#supervisor.dialNow(peerId);
  }

  /** `from` has heard from a registered peer: it is dialled before other absent ones. */
  heardOf(peerId: string, from: string): void {
    this.#supervisor.heardOf(peerId, from);
  }

  snapshot(): SupervisedPeer[] {
    return this.#supervisor.snapshot();
  }

  /** One of them; costs that one alone. */
  peer(subject: string): SupervisedPeer | undefined {
    return this.#supervisor.peer(subject);
  }

  /** Peers in the routing table of the DHT. */
  tableSize(): number {
    return routingTableSize(this.#parts.dht);
  }

  readonly #onIdentify: Listener<'peer:identify'> = ({ detail }) => {
    if (detail.connection === undefined) return;
    const peerId = detail.peerId.toString();
    this.#parts.book.add(peerId, detail.listenAddrs.map(String), 'connected');
    this.#supervisor.addCandidate(peerId);
    if (detail.protocols.includes(this.#exchange.protocol)) void this.#ask(detail.connection);
  };

  readonly #onDiscovered: Listener<'peer:discovery'> = ({ detail }) => this.#found(detail);

  readonly #onConnected: Listener<'peer:connect'> = () => {
    if (this.#parts.libp2p.getPeers().length <= 1) this.#rendezvous.hurry();
  };

  #found(peer: PeerInfo): void {
    const peerId = peer.id.toString();
    if (peerId === this.#self) return;
    if (this.#parts.book.add(peerId, peer.multiaddrs.map(String), 'dht'))
      this.#supervisor.addCandidate(peerId);
  }

  /** Asks one connected peer for others. */
  async #ask(connection: Connection): Promise<void> {
    const peerId = connection.remotePeer.toString();
    if (this.#options.peerExchange === false || this.#asking.has(peerId) || this.#asking.size >= 2) return;
    this.#asking.add(peerId);
    try {
      for (const peer of await this.#exchange.ask(connection, this.#stopping.signal)) {
        if (peer.peerId === this.#self || !this.#parts.book.add(peer.peerId, peer.addresses, 'exchange'))
          continue;
        this.#supervisor.addCandidate(peer.peerId);
        // only connected peers are asked
        this.#supervisor.heardOf(peer.peerId, peerId);
      }
    } catch (error) {
      this.#parts.onDebug('peer exchange failed', { peer: peerId, err: error });
    } finally {
      this.#asking.delete(peerId);
    }
  }

  #askAfter(ms: number): void {
    const { env, libp2p } = this.#parts;
    this.#timer = env.after(ms, () => {
      const open = libp2p.getConnections().filter(({ status }) => status === 'open');
      const one = open[Math.floor(env.random() * open.length)];
      if (one !== undefined) void this.#ask(one);
      this.#askAfter(EXCHANGE_EVERY_MS * (0.5 + env.random()));
    });
  }
}

/** The supervisor's view of libp2p: connections by their ids. */
function supervisorComponents(components: DiscoveryComponents): SupervisorComponents {
  const { env, libp2p, onDebug } = components;
  const dialer = new Dialer(components);
  const byId = (linkId: string): Connection | undefined =>
    libp2p.getConnections().find((connection) => connection.id === linkId);
  return {
    self: libp2p.peerId.toString(),
    env,
    dial: (target, attempt, signal) => dialer.dial(target, attempt, signal),
    async ping(linkId, signal) {
      const connection = byId(linkId);
      if (connection !== undefined) await components.ping(connection, signal);
    },
    close: (linkId) => byId(linkId)?.abort(new AgrinetError('peer-silent', 'no answer to a ping')),
    watch(listener) {
      const onOpen = ({ detail }: CustomEvent<Connection>): void =>
        listener.opened(detail.id, detail.remotePeer.toString());
      const onClose = ({ detail }: CustomEvent<Connection>): void => listener.closed(detail.id);
      libp2p.addEventListener('connection:open', onOpen);
      libp2p.addEventListener('connection:close', onClose);
      for (const one of libp2p.getConnections()) listener.opened(one.id, one.remotePeer.toString());
      return () => {
        libp2p.removeEventListener('connection:open', onOpen);
        libp2p.removeEventListener('connection:close', onClose);
      };
    },
    onFailure: (what, subject, error) => onDebug('peer not reached', { what, subject, err: error }),
  };
}

/** kad-dht's exported type leaves its routing table out. */
function routingTableSize(dht: KadDHT): number {
  const table: unknown = Reflect.get(dht, 'routingTable');
  const size: unknown = typeof table === 'object' && table !== null ? Reflect.get(table, 'size') : undefined;
  // unknown after an upgrade: then ask all the same, the rounds slow down by themselves
  return typeof size === 'number' ? size : 1;
}
