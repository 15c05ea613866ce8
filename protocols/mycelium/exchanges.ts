import { commonCoverage, OWN_COVERAGE } from '../digest/coverage.ts';
import { type Env, pause, type Timer } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import { OpenWork } from '../open-work.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import { type ShownFrontier, wholeFrontier } from './frontier-stream.ts';
import { type Access, newestConnection } from './ports.ts';
import { type FailureParts, peerFailed } from './pull-event.ts';
import type { RangeRequest } from './range.ts';
import type { FeedTransport } from './transport.ts';

export const EXCHANGE_LIMITS = {
  /** Anti-entropy with a random peer, ± 50 %. */
  everyMs: 45_000,
  /** Frontier exchanges tried over a new connection. */
  greetings: 3,
  /** Between two of them: gossip's own stream may open a moment after its subscription arrives. */
  greetAgainMs: 2000,
  /** After an announcement that did not arrive, once for all failures until then: the next round may be a minute away. */
  missedMs: 2000,
} as const;

export interface ExchangesParts extends FailureParts {
  readonly env: Pick<Env, 'after' | 'random'>;
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly access: Pick<Access, 'mayReplicate'>;
  readonly transportTo: (connection: PeerConnection) => Pick<FeedTransport<RangeRequest>, 'frontier'>;
  /** A peer has shown its frontier. */
  readonly onFrontier: (connection: PeerConnection, shown: ShownFrontier) => Promise<void>;
}

/** When frontiers are exchanged, and with whom: over each new connection, and again and again with somebody. */
export class Exchanges {
  readonly #parts: ExchangesParts;
  readonly #stopping = new AbortController();
  readonly #running = new OpenWork();
  #timer: Timer | undefined;
  /** Peers that missed an announcement. */
  readonly #missed = new Map<string, Timer>();

  constructor(parts: ExchangesParts) {
    this.#parts = parts;
  }

  /** From now on with a random peer every 45 s ± 50 %. */
  start(): void {
    const { env, libp2p, access } = this.#parts;
    this.#timer = env.after(EXCHANGE_LIMITS.everyMs * (0.5 + env.random()), () => {
      const peers = libp2p
        .getConnections()
        .filter((c) => c.status === 'open' && access.mayReplicate(c.remotePeer.toString()));
      const chosen = peers[Math.floor(env.random() * peers.length)];
      if (chosen !== undefined) void this.exchange(chosen);
      this.start();
    });
  }

  /** Begins none any more, and ends those under way; resolves when they have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort(new AgrinetError('stopping', 'the node is stopping'));
    this.#timer?.cancel();
    for (const timer of this.#missed.values()) timer.cancel();
    this.#missed.clear();
    await this.#running.close();
  }

  /** A peer could not be notified of an entry: its frontier is exchanged soon, while it is connected. */
  missed(peer: string): void {
    const { env, libp2p } = this.#parts;
    if (this.#stopping.signal.aborted || this.#missed.has(peer)) return;
    const timer = env.after(EXCHANGE_LIMITS.missedMs, () => {
      this.#missed.delete(peer);
      const connection = newestConnection(libp2p, peer);
      if (connection !== undefined) void this.exchange(connection);
    });
    this.#missed.set(peer, timer);
  }

  /** Exchanges frontiers over a connection. False when it failed; a peer that must not be asked does not count as a failure. */
  async exchange(connection: PeerConnection): Promise<boolean> {
    return this.#running.isClosed || this.#running.note(this.#exchange(connection));
  }

  async #exchange(connection: PeerConnection): Promise<boolean> {
    const { access, offences, now, transportTo, onFrontier } = this.#parts;
    const peer = connection.remotePeer.toString();
    if (!access.mayReplicate(peer) || offences.isOut(peer, now())) return true;
    try {
      const pages = transportTo(connection).frontier(this.#stopping.signal);
      const shown = await wholeFrontier(pages);
      // Whoever answers knows already what this node knows.
      await onFrontier(connection, { ...shown, covers: commonCoverage(OWN_COVERAGE, shown.knows) });
      return true;
    } catch (error) {
      if (!this.#stopping.signal.aborted) peerFailed(this.#parts, peer, errorCode(error));
      return false;
    }
  }

  /** The first exchange of a connection finds all that was missed while there was none, so it is tried more than once. */
  async greet(connection: PeerConnection): Promise<void> {
    for (let tries = EXCHANGE_LIMITS.greetings; tries > 0; tries--) {
      if (await this.exchange(connection)) return;
      if (!(await this.#isOpenLater(connection))) return;
    }
  }

  /** Two exchanges: gossip's own stream to the peer may open a moment later than its subscription arrives. */
  async exchangeTwice(connection: PeerConnection): Promise<void> {
    await this.greet(connection);
    if (await this.#isOpenLater(connection)) await this.exchange(connection);
  }

  /** With every connected peer now. */
  async withAll(): Promise<void> {
    const peers = new Map(this.#parts.libp2p.getConnections().map((c) => [c.remotePeer.toString(), c]));
    await Promise.all([...peers.values()].map((connection) => this.exchange(connection)));
  }

  async #isOpenLater(connection: PeerConnection): Promise<boolean> {
    await pause(this.#parts.env, EXCHANGE_LIMITS.greetAgainMs, this.#stopping.signal);
    return !this.#stopping.signal.aborted && connection.status === 'open';
  }
}
