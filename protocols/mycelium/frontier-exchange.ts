import { commonCoverage, type Coverage, OWN_COVERAGE } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { framed, type FramedStream } from '../wire/framed-stream.ts';
import { LIMITS } from '../wire/limits.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { decodeFrontier, encodePage, type FrontierGroup, frontierPages } from './frontier-page.ts';
import { promisingFeeds } from './owed-feeds.ts';
import type { Access } from './ports.ts';

/**
 * Frontier exchange, `/agrinet/<network>/frontier/1`: the asker sends its frontier in pages and closes its side, the other
 * answers with its own, its digests over what both know. Afterwards each knows what the other has. A private channel stands only in what its participants are
 * shown. Not guaranteed: that either still has the same a moment later.
 */
export const FRONTIER_LIMITS = {
  /** Pages in one exchange: about 10,000 feeds; a longer frontier is shown in turns. */
  pages: 64,
  /** One page in either direction. */
  pageMs: 5000,
  /** All of an exchange: pages that only trickle hold a place that others wait for. */
  exchangeMs: 60_000,
  /** Per connection, both ways: an exchange has one, and those of both sides may cross. */
  streams: 4,
  /** Exchanges answered at once, each with another peer. */
  answering: 32,
  /** Of them with one peer; two, because connections of both directions may cross. */
  answeringPerPeer: 2,
} as const;

/** The frontier that a peer has shown. */
export interface ShownFrontier {
  readonly groups: readonly FrontierGroup[];
  /** All that the peer knows. */
  readonly knows: Coverage;
  /** What its digests are over. */
  readonly covers: Coverage;
}

export interface FrontierComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline'>;
  readonly libp2p: StreamHost;
  readonly access: Access;
  /** This node's frontier as this peer may see it, its digests over these collections. */
  readonly frontierFor: (peer: string, covers: Coverage) => readonly FrontierGroup[];
  /** A peer has shown its frontier, whoever asked. */
  readonly onFrontier: (connection: PeerConnection, shown: ShownFrontier) => Promise<void>;
  readonly onFailure: (peer: string, error: unknown) => void;
}

export interface FrontierProtocol {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Exchanges frontiers over a connection; the peer's goes to `onFrontier`. */
  exchange(connection: PeerConnection, signal: AbortSignal): Promise<void>;
}

export function createFrontierProtocol(components: FrontierComponents, network: string): FrontierProtocol {
  const { env, libp2p, access, frontierFor, onFrontier, onFailure } = components;
  const protocol = `/agrinet/${network}/frontier/1`;
  let stopping = new AbortController();
  const answering = new Map<string, number>();
  let total = 0;
  let turn = 0;

  const soon = (whole: AbortSignal): AbortSignal =>
    AbortSignal.any([stopping.signal, whole, env.deadline(FRONTIER_LIMITS.pageMs)]);
  const wholeExchange = (): AbortSignal => env.deadline(FRONTIER_LIMITS.exchangeMs);

  /**
   * What is too long for one exchange is shown part by part: refused whole, nothing of it would ever be caught up. Each part begins
   * with the feeds that hold the peer's own promises, because it takes that part for an answer about them.
   */
  function pagesFor(peer: string, groups: readonly FrontierGroup[]): FrontierGroup[][] {
    const pages = frontierPages(groups);
    if (pages.length <= FRONTIER_LIMITS.pages) return pages;
    const promising = new Set(promisingFeeds(groups, peer, () => true));
    const first = promising.size === 0 ? [] : frontierPages([...promising]);
    // Too many even by themselves: then they too are shown in turns.
    if (first.length >= FRONTIER_LIMITS.pages) return inTurns(pages, FRONTIER_LIMITS.pages);
    const others = frontierPages(groups.filter((group) => !promising.has(group)));
    return [...first, ...inTurns(others, FRONTIER_LIMITS.pages - first.length)];
  }

  function inTurns(pages: readonly FrontierGroup[][], most: number): FrontierGroup[][] {
    const from = (turn++ * most) % pages.length;
    return pages.slice(from, from + most);
  }

  async function send(
    frames: FramedStream,
    { peer, covers }: { readonly peer: string; readonly covers: Coverage },
    whole: AbortSignal,
  ): Promise<void> {
    const turn = new CpuTurn(env);
    for (const page of pagesFor(peer, frontierFor(peer, covers))) {
      await turn.pause();
      await frames.write(encodePage(page), soon(whole));
    }
    await frames.close(soon(whole));
  }

  async function receive(frames: FramedStream, whole: AbortSignal): Promise<Omit<ShownFrontier, 'covers'>> {
    const turn = new CpuTurn(env);
    const groups: FrontierGroup[] = [];
    let knows: Coverage | undefined;
    for (let pages = 0; ; pages++) {
      const page = await frames.read(soon(whole));
      if (page === null) return { groups, knows: knows ?? new Map() };
      if (pages >= FRONTIER_LIMITS.pages) throw new AgrinetError('frontier-malformed', 'too many pages');
      await turn.pause();
      const decoded = decodeFrontier(page);
      knows ??= decoded.knows;
      groups.push(...decoded.groups);
    }
  }

  async function answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const frames = framed(stream, { maxFrame: LIMITS.frontierBytes });
    if (!access.mayReplicate(peer))
      return frames.abort(new AgrinetError('not-registered', 'not registered here'));
    const busy = answering.get(peer) ?? 0;
    if (total >= FRONTIER_LIMITS.answering || busy >= FRONTIER_LIMITS.answeringPerPeer)
      return frames.abort(new AgrinetError('busy', 'too many at once'));
    answering.set(peer, busy + 1);
    total++;
    try {
      const whole = wholeExchange();
      const { groups, knows } = await receive(frames, whole);
      await send(frames, { peer, covers: commonCoverage(OWN_COVERAGE, knows) }, whole);
      // Whoever asks does not know yet what the other knows: its digests are over all that it knows itself.
      await onFrontier(connection, { groups, knows, covers: knows });
    } catch (error) {
      frames.abort(error instanceof Error ? error : new AgrinetError('internal', 'not an error'));
      onFailure(peer, error);
    } finally {
      total--;
      const left = (answering.get(peer) ?? 1) - 1;
      if (left === 0) answering.delete(peer);
      else answering.set(peer, left);
    }
  }

  return {
    async start() {
      stopping = new AbortController();
      await libp2p.handle(protocol, answer, {
        maxInboundStreams: FRONTIER_LIMITS.streams,
        maxOutboundStreams: FRONTIER_LIMITS.streams,
      });
    },
    async stop() {
      stopping.abort();
      await libp2p.unhandle(protocol);
    },
    async exchange(connection, signal) {
      const whole = AbortSignal.any([signal, wholeExchange()]);
      const stream = await connection.newStream(protocol, { signal: soon(whole) });
      const frames = framed(stream, { maxFrame: LIMITS.frontierBytes });
      try {
        await send(frames, { peer: connection.remotePeer.toString(), covers: OWN_COVERAGE }, whole);
        const { groups, knows } = await receive(frames, whole);
        await onFrontier(connection, { groups, knows, covers: commonCoverage(OWN_COVERAGE, knows) });
      } catch (error) {
        frames.abort(error instanceof Error ? error : new AgrinetError('internal', 'not an error'));
        throw error;
      }
    },
  };
}
