import type { Coverage } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { errorCode } from '../errors.ts';
import type { Committed, Ledger } from '../ledger/types.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import { type AnnounceProtocol, createAnnounceProtocol } from './announce.ts';
import { Announcer } from './announcer.ts';
import { Exchanges } from './exchanges.ts';
import { FrontierProtocol } from './frontier-exchange.ts';
import type { FrontierGroup } from './frontier-page.ts';
import { GossipIntake, type GossipVerdict } from './gossip-intake.ts';
import type { Offences } from './offences.ts';
import { OwnFrontier, ownFrontierFor } from './own-frontier.ts';
import { type Access, type FeedSource, newestConnection } from './ports.ts';
import { peerFailed, type Privacy, type PullEvent } from './pull-event.ts';
import { Puller } from './puller.ts';
import { RangeProtocol } from './range-protocol.ts';
import type { RangeReader } from './range-reader.ts';
import { StreamTransport } from './stream-transport.ts';
import type { PeerCoverage } from './shown-frontiers.ts';

export interface MyceliumComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline' | 'monotonic' | 'offload' | 'random'>;
  readonly self: PeerId;
  readonly libp2p: StreamHost;
  readonly source: FeedSource;
  readonly reader: Pick<RangeReader, 'read'>;
  readonly ledger: Ledger;
  readonly access: Access;
  /** Shared with what is fetched over HTTPS. */
  readonly offences: Offences;
  /** Digest over an author's public records in these collections, hex. */
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
  /** Whether feeds of this author are taken. */
  readonly follows: (author: PeerId) => boolean;
  /** Participants of a private channel, this node left out. */
  readonly participants: (channel: Channel) => readonly string[];
  readonly publish: (data: Uint8Array) => Promise<void>;
  readonly now: () => number;
  readonly onEvent: (event: PullEvent) => void;
}

/**
 * Mycelium replicates entries. Gossip is fast and guarantees nothing; what it missed shows in the frontiers, which are exchanged on
 * every connection, on a gap and every 45 s ± 50 % with a random peer, and is pulled as ranges from any holder. Guaranteed, as long
 * as a holder can be reached now and then: everything arrives. Not guaranteed: when.
 */
export class Mycelium {
  readonly #libp2p: StreamHost;
  readonly #range: RangeProtocol;
  readonly #frontier: FrontierProtocol;
  readonly #direct: AnnounceProtocol;
  readonly #puller: Puller;
  readonly #exchanges: Exchanges;
  readonly #announcer: Announcer;
  readonly #gossip: GossipIntake;

  constructor(components: MyceliumComponents, network: string) {
    const { libp2p, access, offences, now } = components;
    const onFailure = (peer: string, error: unknown, privacy?: Privacy): void =>
      peerFailed(components, peer, errorCode(error), privacy);
    this.#libp2p = libp2p;
    this.#range = new RangeProtocol({ ...components, onFailure }, network);
    const transportTo = (connection: PeerConnection): StreamTransport =>
      new StreamTransport({ frontier: this.#frontier, range: this.#range }, connection);
    const puller = new Puller({ ...components, transportTo });
    this.#puller = puller;
    const own = new OwnFrontier(components);
    this.#frontier = new FrontierProtocol(
      {
        ...components,
        access: {
          ...access,
          mayReplicate: (peer) => access.mayReplicate(peer) && !offences.isOut(peer, now()),
        },
        frontierFor: (peer, covers) => ownFrontierFor(components, peer, covers),
        viewFor: (peer, covers, turn) => own.viewFor(peer, covers, turn),
        onFrontier: (connection, frontier) => puller.onFrontier(connection, frontier),
        onFailure,
      },
      network,
    );
    this.#direct = createAnnounceProtocol(
      {
        ...components,
        // Only entries of private channels are announced this way.
        onFailure: (peer, error) => onFailure(peer, error, { private: true }),
        onAnnouncement: (connection, a) => puller.announced(connection.remotePeer.toString(), a),
      },
      network,
    );
    const exchanges = new Exchanges({
      ...components,
      transportTo,
      onFrontier: (connection, frontier) => puller.onFrontier(connection, frontier),
    });
    this.#exchanges = exchanges;
    this.#announcer = new Announcer({
      ...components,
      direct: this.#direct,
      exchange: (connection) => void exchanges.exchange(connection),
      missed: (peer) => exchanges.missed(peer),
      seekLower: (proof) => puller.seekLower(proof),
    });
    this.#gossip = new GossipIntake({
      ...components,
      onAnnouncement: (peer, a) => puller.announced(peer, a),
    });
  }

  async start(): Promise<void> {
    await Promise.all([this.#range.start(), this.#frontier.start(), this.#direct.start()]);
    this.#exchanges.start();
  }

  async stop(): Promise<void> {
    await Promise.allSettled([
      this.#exchanges.stop(),
      this.#puller.stop(),
      this.#range.stop(),
      this.#frontier.stop(),
      this.#direct.stop(),
    ]);
  }

  /** A peer has connected: exchange frontiers. */
  connected(connection: PeerConnection): void {
    this.#puller.reconnected(connection.remotePeer.toString());
    void this.#exchanges.greet(connection);
  }

  /** A peer listens to gossip from now on: it has missed what was published since the exchange at its connection. */
  subscribed(peer: string): void {
    const connection = newestConnection(this.#libp2p, peer);
    if (connection !== undefined) void this.#exchanges.exchangeTwice(connection);
  }

  /** One gossip message; says whether to forward it, drop it, or hold it against the sender. */
  gossiped(data: Uint8Array, from: string): Promise<GossipVerdict> {
    return this.#gossip.take(data, from);
  }

  /** Tells peers about a commit of this node's own. */
  announce(committed: Committed): void {
    this.#announcer.committed(committed);
  }

  /** Exchanges frontiers with every connected registered peer now. */
  syncNow(): Promise<void> {
    return this.#exchanges.withAll();
  }

  /** The last frontier each peer has shown. */
  frontiers(): ReadonlyMap<string, readonly FrontierGroup[]> {
    return this.#puller.frontiers();
  }

  /** How many whole frontiers a peer has shown since the start. */
  frontiersShown(peer: string): number {
    return this.#puller.frontiersShown(peer);
  }

  /** What each peer's version knows, and what its last digests cover; undefined before its first frontier. */
  coverageOf(peer: string): PeerCoverage | undefined {
    return this.#puller.coverageOf(peer);
  }

  get pending(): number {
    return this.#puller.pending;
  }
}
