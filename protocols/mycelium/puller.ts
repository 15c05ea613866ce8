import type { Coverage } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Ledger } from '../ledger/types.ts';
import { OpenWork } from '../open-work.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import type { Need } from './catch-up.ts';
import type { ShownFrontier } from './frontier-stream.ts';
import type { FrontierGroup } from './frontier-page.ts';
import { HeldFeeds } from './held-feeds.ts';
import type { Announcement } from './message.ts';
import type { Offences } from './offences.ts';
import { OwedFeeds } from './owed-feeds.ts';
import { type Access, type FeedSource, newestConnection } from './ports.ts';
import { pullFeed } from './pull.ts';
import { peerFailed, privacyOf, type PullEvent } from './pull-event.ts';
import { Pulls } from './pulls.ts';
import type { RangeRequest } from './range.ts';
import { type PeerCoverage, ShownFrontiers } from './shown-frontiers.ts';
import type { FeedTransport } from './transport.ts';

export interface PullerComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly self: PeerId;
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly transportTo: (connection: PeerConnection) => Pick<FeedTransport<RangeRequest>, 'range'>;
  readonly source: FeedSource;
  readonly ledger: Ledger;
  readonly access: Access;
  readonly offences: Offences;
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
  readonly follows: (author: PeerId) => boolean;
  readonly now: () => number;
  readonly onEvent: (event: PullEvent) => void;
}

/** Pulls what peers have shown and this node is missing, until it has everything that a reachable peer has. */
export class Puller {
  readonly #parts: PullerComponents;
  readonly #held: HeldFeeds;
  readonly #pulls: Pulls;
  readonly #shown: ShownFrontiers;
  readonly #owed: OwedFeeds;
  readonly #stopping = new AbortController();
  /** Frontiers that are gone through. */
  readonly #compared = new OpenWork();

  constructor(components: PullerComponents) {
    const { env, libp2p, access, offences, now } = components;
    this.#parts = components;
    this.#held = new HeldFeeds(components);
    this.#shown = new ShownFrontiers({ ...components, held: this.#held });
    this.#owed = new OwedFeeds(components);
    this.#pulls = new Pulls({
      env,
      now,
      reachable: (peer) =>
        access.mayReplicate(peer) &&
        !offences.isOut(peer, now()) &&
        newestConnection(libp2p, peer) !== undefined,
      pull: (peer, need) => this.#pull(peer, need),
      isBehind: (peer, feed) => this.#shown.isBehind(peer, feed),
      onEnded: (peer, need, received) => this.#ended(peer, need, received),
    });
  }

  /** A peer has shown its frontier. */
  async onFrontier(connection: PeerConnection, frontier: ShownFrontier): Promise<void> {
    if (!this.#compared.isClosed) await this.#compared.note(this.#onFrontier(connection, frontier));
  }

  async #onFrontier(connection: PeerConnection, frontier: ShownFrontier): Promise<void> {
    const { env, onEvent } = this.#parts;
    const peer = connection.remotePeer.toString();
    const groups = [...frontier.same, ...frontier.groups];
    const number = this.#shown.replace(connection, { ...frontier, groups });
    const turn = new CpuTurn(env);
    const behind = await this.#compare(peer, frontier, turn);
    if (this.#compared.isClosed) return;
    if (behind === 0) onEvent({ kind: 'peer-synced', peer, received: 0 });
    const owed = await this.#owed.owedOf(groups, turn);
    // Only the latest frontier counts: an older one that took longer is disregarded.
    if (this.#compared.isClosed) return;
    if (this.#shown.count(peer) === number && this.#owed.noted(peer, owed))
      onEvent({ kind: 'own-held', peer });
    this.#pulls.begin();
  }

  /**
   * Examines the groups that differ, thousands of them, and yields in between. Returns how many public groups show something that is
   * missing.
   */
  async #compare(peer: string, { groups, covers }: ShownFrontier, turn: CpuTurn): Promise<number> {
    const useless = new Set<FrontierGroup>();
    let behind = 0;
    for (const group of groups) {
      await turn.pause();
      if (this.#compared.isClosed) return behind;
      const { author, channel } = group;
      if (!this.#shown.isUseful(group)) useless.add(group);
      if (this.#held.isBehind(group)) {
        if (channel === 'public') behind++;
        // What there is no room for now is found again in the next frontier: if it were kept, each question about the peer would go
        // through it.
        if (!this.#pulls.want(peer, group)) useless.add(group);
      } else if (channel === 'public' && this.#shown.differs(group, covers))
        this.#parts.onEvent({ kind: 'digest-differs', peer, author });
    }
    this.#shown.drop(peer, useless);
    return behind;
  }

  /** A peer has announced one entry. */
  announced(peer: string, { author, channel, epoch, seq, hash }: Announcement): void {
    if (this.#parts.offences.isOut(peer, this.#parts.now())) return;
    const group: FrontierGroup = { author, channel, items: [{ epoch, seq, hash }], digest: '' };
    if (!this.#held.isBehind(group)) return;
    if (!this.#pulls.want(peer, { author, channel })) return;
    this.#shown.announced(peer, group);
    this.#pulls.begin();
  }

  /** The two headers follow different ones: the lowest fork is below, and any node involved may have the other half. */
  seekLower({ author, channel }: ForkProof): void {
    const { libp2p, access } = this.#parts;
    for (const connection of libp2p.getConnections()) {
      const peer = connection.remotePeer.toString();
      if (access.mayReplicate(peer)) this.#pulls.want(peer, { author, channel });
    }
    this.#pulls.begin();
  }

  reconnected(peer: string): void {
    this.#pulls.reconnected(peer);
  }

  frontiers(): ReadonlyMap<string, readonly FrontierGroup[]> {
    return this.#shown.all();
  }

  /** How many whole frontiers a peer has shown. */
  frontiersShown(peer: string): number {
    return this.#shown.count(peer);
  }

  coverageOf(peer: string): PeerCoverage | undefined {
    return this.#shown.coverageOf(peer);
  }

  get pending(): number {
    return this.#pulls.pending;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AgrinetError('stopping', 'the node is stopping'));
    await Promise.all([this.#pulls.stop(), this.#compared.close()]);
  }

  /** How many entries were new; undefined when it failed. */
  async #pull(peer: string, need: Need): Promise<number | undefined> {
    try {
      return await this.#pullOver(this.#connectionTo(peer), peer, need);
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        peerFailed(this.#parts, peer, errorCode(error), privacyOf(need.group.channel));
      return undefined;
    }
  }

  #ended(peer: string, { group }: Need, received: number | undefined): void {
    const { onEvent } = this.#parts;
    if (received !== undefined)
      onEvent({ kind: 'peer-synced', peer, received, pulled: true, ...privacyOf(group.channel) });
    for (const each of this.#owed.taken(group)) onEvent({ kind: 'own-held', peer: each });
  }

  async #pullOver(connection: PeerConnection | undefined, peer: string, need: Need): Promise<number> {
    if (connection === undefined) throw new AgrinetError('stream-closed', 'the connection went');
    const { transportTo, now, onEvent } = this.#parts;
    const onRefused = (code: string): void =>
      onEvent({ kind: 'entry-refused', peer, code, ...privacyOf(need.group.channel) });
    return pullFeed(
      {
        transport: transportTo(connection),
        target: {
          rangeRequest: async (feed, from) => this.#held.rangeRequest(feed, from),
          receive: (feed, items) => this.#held.receive(peer, feed, items, onRefused),
        },
        now,
      },
      need.group,
      {
        signal: this.#stopping.signal,
        hasOthers: () => this.#pulls.hasOthers(peer, need),
      },
    );
  }

  #connectionTo(peer: string): PeerConnection | undefined {
    const over = this.#shown.connectionOf(peer);
    return over?.status === 'open' ? over : newestConnection(this.#parts.libp2p, peer);
  }
}
