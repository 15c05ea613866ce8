import type { Coverage } from '../digest/coverage.ts';
import { isSendersFault } from '../error-codes.ts';
import { type Env, pause, type Timer } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import { readForkProof } from '../feed/fork.ts';
import type { Entry } from '../feed/entry.ts';
import { frontierOf, isWhole } from '../feed/frontier.ts';
import { hasGap } from '../feed/gap.ts';
import type { Committed, Ledger, ProofOutcome, Received } from '../ledger/types.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import { createAnnounceProtocol } from './announce.ts';
import { createFrontierProtocol } from './frontier-exchange.ts';
import type { FrontierGroup } from './frontier-page.ts';
import { type Announcement, decodeMessage, encodeMessage } from './message.ts';
import type { Offences } from './offences.ts';
import { type Access, type FeedSource, newestConnection } from './ports.ts';
import { createPuller, type PeerCoverage, type PullEvent, type Puller } from './puller.ts';
import { createRangeProtocol } from './range-protocol.ts';

/**
 * Mycelium moves entries. Gossip tells quickly and guarantees nothing; what it missed shows in the frontiers, which are
 * exchanged on every connection, on a gap and every 45 s ± 50 % with a random peer, and is pulled as ranges from anybody who
 * has it. Guaranteed, as long as a holder can be reached now and then: everything arrives. Not guaranteed: when.
 */
export const MYCELIUM_LIMITS = {
  /** Anti-entropy with a random peer, ± 50 %. */
  everyMs: 45_000,
  /** Gossip messages being admitted; above it they are ignored and catch-up brings them. */
  admitting: 512,
  /** Frontier exchanges tried over a new connection. */
  greetings: 3,
  /** Between two of them: gossip's own stream may open a moment after its subscription arrives. */
  greetAgainMs: 2000,
} as const;

export interface MyceliumComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline' | 'monotonic' | 'offload' | 'random'>;
  readonly self: PeerId;
  readonly libp2p: StreamHost;
  readonly source: FeedSource;
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

export interface Mycelium {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A peer has connected: exchange frontiers. */
  connected(connection: PeerConnection): void;
  /** A peer listens to gossip from now on: what was told since the exchange at its connection has passed it by. */
  subscribed(peer: string): void;
  /** One gossip message; says whether to forward it, drop it, or hold it against the sender. */
  gossiped(data: Uint8Array, from: string): Promise<'accept' | 'ignore' | 'reject'>;
  /** Tells peers about a commit of this node's own. */
  announce(committed: Committed): void;
  /** Exchanges frontiers with every connected registered peer now. */
  syncNow(): Promise<void>;
  /** The last frontier each peer has shown. */
  frontiers(): ReadonlyMap<string, readonly FrontierGroup[]>;
  /** How many whole frontiers a peer has shown since the start. */
  frontiersShown(peer: string): number;
  /** What each peer's version knows, and what its last digests are over; undefined before its first frontier. */
  coverageOf(peer: string): PeerCoverage | undefined;
  readonly pending: number;
}

export function createMycelium(components: MyceliumComponents, network: string): Mycelium {
  const { env, source, ledger, access, offences, now, onEvent } = components;
  let stopping = new AbortController();
  let timer: Timer | undefined;
  let admitting = 0;

  function onFailure(peer: string, error: unknown, about: { readonly private?: true } = {}): void {
    const code = errorCode(error);
    onEvent({ kind: 'pull-failed', peer, code, ...about });
    const forMs = offences.note(peer, code, now());
    if (forMs !== undefined) onEvent({ kind: 'peer-distrusted', peer, code, forMs });
  }
  const range = createRangeProtocol({ env, libp2p: components.libp2p, source, access, onFailure }, network);
  const puller: Puller = createPuller({ ...components, range });
  const frontier = createFrontierProtocol(
    {
      env,
      libp2p: components.libp2p,
      access: {
        ...access,
        mayReplicate: (peer) => access.mayReplicate(peer) && !offences.isOut(peer, now()),
      },
      frontierFor,
      onFrontier: (connection, shown) => puller.onFrontier(connection, shown),
      onFailure,
    },
    network,
  );
  const direct = createAnnounceProtocol(
    {
      env,
      libp2p: components.libp2p,
      access,
      // Only private channels are told of so.
      onFailure: (peer, error) => onFailure(peer, error, { private: true }),
      onAnnouncement: (connection, a) => puller.announced(connection.remotePeer.toString(), a),
    },
    network,
  );

  function frontierFor(peer: string, covers: Coverage): FrontierGroup[] {
    const groups: FrontierGroup[] = [];
    for (const { author, channel, feeds } of source.feedGroups()) {
      if (channel !== 'public' && !access.mayHold(peer, channel)) continue;
      // What is held of it is not what others mean by such a frontier.
      if (hasGap(source, feeds)) continue;
      groups.push({
        author,
        channel,
        items: frontierOf(feeds),
        digest: channel === 'public' && isWhole(feeds) ? components.digestOf(author, covers) : '',
      });
    }
    return groups;
  }

  async function gossiped(data: Uint8Array, from: string): Promise<'accept' | 'ignore' | 'reject'> {
    if (!access.mayReplicate(from)) return 'ignore';
    if (admitting >= MYCELIUM_LIMITS.admitting) return 'ignore';
    admitting++;
    try {
      const message = decodeMessage(data);
      switch (message.kind) {
        case 'entry':
          return takeGossip(from, (await ledger.receive([message.bytes], { channel: 'public' }, from))[0]);
        case 'announcement':
          if (message.announcement.channel !== 'public') return 'reject';
          puller.announced(from, message.announcement);
          return components.follows(message.announcement.author) ? 'accept' : 'ignore';
        case 'proof':
          if (readForkProof(message.bytes).channel !== 'public') return 'reject';
          return takeProof(from, await ledger.receiveProof(message.bytes, from));
      }
    } catch (error) {
      const code = errorCode(error);
      onEvent({ kind: 'entry-refused', peer: from, code });
      // A full disk is ours; a malformed message is the sender's.
      return isSendersFault(code) ? 'reject' : 'ignore';
    } finally {
      admitting--;
    }
  }

  /** Forwarded when it changed something here. One put off until tomorrow is not the sender's fault: others may take it today. */
  function takeProof(from: string, outcome: ProofOutcome): 'accept' | 'ignore' {
    if (outcome === 'exceeded') onEvent({ kind: 'entry-refused', peer: from, code: 'forks-exceeded' });
    return outcome === 'new' ? 'accept' : 'ignore';
  }

  function takeGossip(from: string, result: Received | undefined): 'accept' | 'ignore' | 'reject' {
    const entry = result?.entry;
    if (result?.kind === 'accept') return 'accept';
    if (result?.kind === 'gap' && entry !== undefined) {
      puller.announced(from, announcementOf(entry));
      return 'accept';
    }
    if (result?.kind === 'known') return result.code === undefined ? 'accept' : 'ignore';
    onEvent({ kind: 'entry-refused', peer: from, code: result?.code ?? result?.kind ?? 'unknown' });
    return result?.kind === 'reject' ? 'reject' : 'ignore';
  }

  function announce({ entries, local, proofs }: Committed): void {
    for (const proof of proofs) {
      if (proof.channel === 'public') tell({ kind: 'proof', bytes: proof.bytes });
      else showTo(components.participants(proof.channel));
    }
    for (const proof of proofs) if (proof.prevs[0] !== proof.prevs[1]) puller.seekLower(proof);
    if (!local) return;
    for (const entry of entries) {
      if (entry.header.channel === 'public') {
        const small = entry.bytes.length <= LIMITS.gossipEntryBytes;
        tell(
          small
            ? { kind: 'entry', bytes: entry.bytes }
            : { kind: 'announcement', announcement: announcementOf(entry) },
        );
      } else {
        for (const peer of components.participants(entry.header.channel))
          tellOne(peer, announcementOf(entry));
      }
    }
  }

  /** A proof in a private channel names it: its participants see it in the frontier, nobody else hears of it. */
  function showTo(peers: readonly string[]): void {
    for (const peer of peers) {
      const connection = newestConnection(components.libp2p, peer);
      if (connection !== undefined) void exchangeWith(connection);
    }
  }

  function tell(message: Parameters<typeof encodeMessage>[0]): void {
    components
      .publish(encodeMessage(message))
      .catch((error: unknown) => onEvent({ kind: 'pull-failed', peer: 'gossip', code: errorCode(error) }));
  }

  function tellOne(peer: string, announcement: Announcement): void {
    const connection = newestConnection(components.libp2p, peer);
    if (connection === undefined || !access.mayReplicate(peer)) return;
    direct
      .announce(connection, announcement)
      .catch((error: unknown) => onFailure(peer, error, { private: true }));
  }

  async function exchangeWith(connection: PeerConnection): Promise<boolean> {
    const peer = connection.remotePeer.toString();
    if (!access.mayReplicate(peer) || offences.isOut(peer, now())) return true;
    try {
      await frontier.exchange(connection, stopping.signal);
      return true;
    } catch (error) {
      if (!stopping.signal.aborted) onFailure(peer, error);
      return false;
    }
  }

  /** The first exchange of a connection finds all that was missed while there was none, so it is tried more than once. */
  async function greet(connection: PeerConnection): Promise<void> {
    for (let tries = MYCELIUM_LIMITS.greetings; tries > 0; tries--) {
      if (await exchangeWith(connection)) return;
      await pause(env, MYCELIUM_LIMITS.greetAgainMs, stopping.signal);
      if (stopping.signal.aborted || connection.status !== 'open') return;
    }
  }

  /** Two exchanges: gossip's own stream to the peer may open a moment later than its subscription arrives. */
  async function settle(connection: PeerConnection): Promise<void> {
    await greet(connection);
    await pause(env, MYCELIUM_LIMITS.greetAgainMs, stopping.signal);
    if (!stopping.signal.aborted && connection.status === 'open') await exchangeWith(connection);
  }

  function schedule(): void {
    timer = env.after(MYCELIUM_LIMITS.everyMs * (0.5 + env.random()), () => {
      const peers = components.libp2p
        .getConnections()
        .filter((c) => c.status === 'open' && access.mayReplicate(c.remotePeer.toString()));
      const chosen = peers[Math.floor(env.random() * peers.length)];
      if (chosen !== undefined) void exchangeWith(chosen);
      schedule();
    });
  }

  return {
    async start() {
      stopping = new AbortController();
      await Promise.all([range.start(), frontier.start(), direct.start()]);
      schedule();
    },
    async stop() {
      stopping.abort(new AgrinetError('stopping', 'the node stops'));
      puller.stop();
      timer?.cancel();
      await Promise.allSettled([range.stop(), frontier.stop(), direct.stop()]);
    },
    connected(connection) {
      puller.reconnected(connection.remotePeer.toString());
      void greet(connection);
    },
    subscribed(peer) {
      const connection = newestConnection(components.libp2p, peer);
      if (connection !== undefined) void settle(connection);
    },
    gossiped,
    announce,
    async syncNow() {
      const peers = new Map(components.libp2p.getConnections().map((c) => [c.remotePeer.toString(), c]));
      await Promise.all([...peers.values()].map(exchangeWith));
    },
    frontiers: () => puller.frontiers(),
    frontiersShown: (peer) => puller.frontiersShown(peer),
    coverageOf: (peer) => puller.coverageOf(peer),
    get pending() {
      return puller.pending;
    },
  };
}

function announcementOf(entry: Entry): Announcement {
  const { channel, epoch, seq } = entry.header;
  return { author: entry.author, channel, epoch, seq, hash: entry.hash };
}
