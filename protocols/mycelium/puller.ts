import { type Coverage, isCoveredBy, OWN_COVERAGE } from '../digest/coverage.ts';
import type { Env, Timer } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import type { ForkProof } from '../feed/fork.ts';
import { frontierOf, isBehind, sameFrontier } from '../feed/frontier.ts';
import { hasGap } from '../feed/gap.ts';
import type { Ledger } from '../ledger/types.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import { CatchUpPlan, type Need } from './catch-up.ts';
import type { ShownFrontier } from './frontier-exchange.ts';
import type { FrontierGroup } from './frontier-page.ts';
import type { Announcement } from './message.ts';
import type { Offences } from './offences.ts';
import { OwedFeeds } from './owed-feeds.ts';
import { type Access, type FeedSource, newestConnection } from './ports.ts';
import { rangeRequest } from './range.ts';
import type { RangeProtocol } from './range-protocol.ts';
import { takeItems } from './take-items.ts';

const aboutOf = (channel: Channel): { readonly private?: true } =>
  channel === 'public' ? {} : { private: true };

export const PULLER_LIMITS = {
  /** So long a pull may go on without progress, or with it when somebody else has the feed too: frames that trickle must not hold it up. */
  sliceMs: 15_000,
  /** What counts as progress in that time, besides entries that are new here: bytes. */
  sliceBytes: 1024 * 1024,
  /** Groups of one peer's frontier that announcements may add to. */
  shown: 10_000,
} as const;

/** `private`: it was about a private channel, of which only its participants may learn that anything has happened. */
export type PullEvent =
  /** Nothing more is lacking of what was looked at; `pulled` when a pull ended so, and not a look at public frontiers alone. */
  | {
      readonly kind: 'peer-synced';
      readonly peer: string;
      readonly received: number;
      readonly pulled?: true;
      readonly private?: true;
    }
  | { readonly kind: 'pull-failed'; readonly peer: string; readonly code: string; readonly private?: true }
  | { readonly kind: 'entry-refused'; readonly peer: string; readonly code: string; readonly private?: true }
  /** The peer has sent what no honest node can have sent, and is left alone for `forMs`. */
  | { readonly kind: 'peer-distrusted'; readonly peer: string; readonly code: string; readonly forMs: number }
  /** All that a peer has shown of the feeds that hold promises of this node is held here. */
  | { readonly kind: 'own-held'; readonly peer: string }
  | { readonly kind: 'digest-differs'; readonly peer: string; readonly author: PeerId };

export interface PullerComponents {
  readonly env: Pick<Env, 'after' | 'cpu'>;
  readonly self: PeerId;
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly range: RangeProtocol;
  readonly source: FeedSource;
  readonly ledger: Ledger;
  readonly access: Access;
  readonly offences: Offences;
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
  readonly follows: (author: PeerId) => boolean;
  readonly now: () => number;
  readonly onEvent: (event: PullEvent) => void;
}

/** What a peer's version knows, and what its last digests are over. */
export type PeerCoverage = Pick<ShownFrontier, 'knows' | 'covers'>;

/** Pulls what peers have shown and this node lacks, until it lacks nothing that somebody reachable has. */
export interface Puller {
  /** A peer has shown its frontier. */
  onFrontier(connection: PeerConnection, shown: ShownFrontier): Promise<void>;
  /** A peer has told of one entry. */
  announced(peer: string, announcement: Announcement): void;
  /** A proof says that the fork is lower still. */
  seekLower(proof: ForkProof): void;
  reconnected(peer: string): void;
  frontiers(): ReadonlyMap<string, readonly FrontierGroup[]>;
  /** How many whole frontiers a peer has shown. */
  frontiersShown(peer: string): number;
  coverageOf(peer: string): PeerCoverage | undefined;
  readonly pending: number;
  stop(): void;
}

export function createPuller(components: PullerComponents): Puller {
  const { env, libp2p, source, ledger, access, offences, now, onEvent } = components;
  const plan = new CatchUpPlan();
  const shown = new Map<string, readonly FrontierGroup[]>();
  const coverage = new Map<string, PeerCoverage>();
  /** What was shown is pulled from whom it was shown by: two processes may have one key, and so one peer id. */
  const shownOver = new Map<string, PeerConnection>();
  /** Whole frontiers that each has shown. */
  const counts = new Map<string, number>();
  const owed = new OwedFeeds(components);
  const stopping = new AbortController();
  let retry: Timer | undefined;

  const lacks = (group: FrontierGroup): boolean =>
    (group.author === components.self || components.follows(group.author)) &&
    isBehind(source.feeds(group.author, group.channel), group.items);

  async function onFrontier(
    connection: PeerConnection,
    { groups, knows, covers }: ShownFrontier,
  ): Promise<void> {
    const turn = new CpuTurn(env);
    const peer = connection.remotePeer.toString();
    shownOver.set(peer, connection);
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
    coverage.set(peer, { knows, covers });
    // What nobody here follows or holds is of no further use, and a frontier may be megabytes of it.
    shown.set(
      peer,
      groups.filter(
        ({ author, channel }) =>
          author === components.self ||
          components.follows(author) ||
          source.feeds(author, channel).length > 0,
      ),
    );
    let behind = 0;
    for (const group of groups) {
      await turn.pause();
      if (lacks(group)) {
        if (group.channel === 'public') behind++;
        plan.want(peer, group);
      } else if (group.channel === 'public' && differs(group, covers))
        onEvent({ kind: 'digest-differs', peer, author: group.author });
    }
    if (behind === 0) onEvent({ kind: 'peer-synced', peer, received: 0 });
    if (owed.shown(peer, groups)) onEvent({ kind: 'own-held', peer });
    pullMore();
  }

  /** Equal frontier, unequal digest over what both know: a fault of somebody's. */
  function differs(group: FrontierGroup, covers: Coverage): boolean {
    // Without a digest the peer itself is missing something that its frontier stands for.
    if (group.digest === '' || !isCoveredBy(covers, OWN_COVERAGE)) return false;
    const feeds = source.feeds(group.author, 'public');
    const same = !hasGap(source, feeds) && sameFrontier(frontierOf(feeds), group.items);
    return same && components.digestOf(group.author, covers) !== group.digest;
  }

  function pullMore(): void {
    if (stopping.signal.aborted) return;
    const reachable = (peer: string): boolean =>
      access.mayReplicate(peer) &&
      !offences.isOut(peer, now()) &&
      newestConnection(libp2p, peer) !== undefined;
    for (const { peer, need } of plan.next(now(), reachable)) void pull(peer, need);
    const wake = plan.wakeAt(now());
    retry?.cancel();
    if (wake !== undefined) retry = env.after(Math.max(10, wake - now()), pullMore);
  }

  async function pull(peer: string, need: Need): Promise<void> {
    const { author, channel } = need.group;
    const turn = new CpuTurn(env);
    const onRefused = (code: string): void =>
      onEvent({ kind: 'entry-refused', peer, code, ...aboutOf(channel) });
    let received = 0;
    let ok = false;
    try {
      const over = shownOver.get(peer);
      const connection = over?.status === 'open' ? over : newestConnection(libp2p, peer);
      if (connection === undefined) throw new AgrinetError('stream-closed', 'the connection went');
      const request = rangeRequest(author, channel, source.feeds(author, channel));
      let slice = { since: now(), received: 0, bytes: 0 };
      for await (const items of components.range.pull(connection, request, stopping.signal)) {
        received += (await takeItems(ledger, peer, need.group, items, { turn, onRefused })).accepted;
        slice.bytes += items.reduce((sum, item) => sum + item.bytes.length, 0);
        if (now() - slice.since <= PULLER_LIMITS.sliceMs) continue;
        // Resumable at any point: a holder that only trickles gives way to the next one, and to other feeds.
        if (plan.hasOthers(peer, need)) throw new AgrinetError('pull-slow', 'another holder goes on');
        if (received === slice.received && slice.bytes < PULLER_LIMITS.sliceBytes)
          throw new AgrinetError('pull-slow', 'nothing new has come for a while');
        slice = { since: now(), received, bytes: 0 };
      }
      ok = true;
    } catch (error) {
      if (!stopping.signal.aborted) failed(peer, channel, errorCode(error));
    }
    const target = shown.get(peer)?.filter((g) => g.author === author && g.channel === channel) ?? [];
    plan.ended(peer, need, ok, target.some(lacks), now());
    if (ok) onEvent({ kind: 'peer-synced', peer, received, pulled: true, ...aboutOf(channel) });
    for (const each of owed.taken(need.group)) onEvent({ kind: 'own-held', peer: each });
    pullMore();
  }

  function failed(peer: string, channel: Channel, code: string): void {
    onEvent({ kind: 'pull-failed', peer, code, ...aboutOf(channel) });
    const forMs = offences.note(peer, code, now());
    if (forMs !== undefined) onEvent({ kind: 'peer-distrusted', peer, code, forMs });
  }

  function announced(peer: string, { author, channel, epoch, seq, hash }: Announcement): void {
    if (offences.isOut(peer, now())) return;
    const item = { epoch, seq, hash };
    if (!lacks({ author, channel, items: [item], digest: '' })) return;
    if (!plan.want(peer, { author, channel })) return;
    noteShown(peer, { author, channel, items: [item], digest: '' });
    pullMore();
  }

  /** Remembers that a peer has this, so that a pull that brought less is seen as one. */
  function noteShown(peer: string, group: FrontierGroup): void {
    const known = (shown.get(peer) ?? []).filter(
      (g) => g.items.length !== 1 || g.author !== group.author || g.channel !== group.channel,
    );
    // One that names ever new channels fills only its own place, and not beyond it.
    if (known.length < PULLER_LIMITS.shown) shown.set(peer, [...known, group]);
  }

  /** The two headers follow different ones: the lowest fork is below, and everybody who took part may have the other half. */
  function seekLower(proof: ForkProof): void {
    for (const connection of libp2p.getConnections()) {
      const peer = connection.remotePeer.toString();
      if (access.mayReplicate(peer)) plan.want(peer, { author: proof.author, channel: proof.channel });
    }
    pullMore();
  }

  return {
    onFrontier,
    announced,
    seekLower,
    reconnected(peer) {
      plan.reconnected(peer);
      pullMore();
    },
    frontiers: () => shown,
    frontiersShown: (peer) => counts.get(peer) ?? 0,
    coverageOf: (peer) => coverage.get(peer),
    get pending() {
      return plan.pending;
    },
    stop() {
      stopping.abort(new AgrinetError('stopping', 'the node stops'));
      retry?.cancel();
    },
  };
}
