import { commonCoverage, type Coverage, OWN_COVERAGE } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { framed, type FramedStream } from '../wire/framed-stream.ts';
import { LIMITS } from '../wire/limits.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { AnswerSlots } from './answer-slots.ts';
import { decodeFrontier, encodePage, type FrontierGroup, type FrontierPage } from './frontier-page.ts';
import { FrontierTurns } from './frontier-turns.ts';
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
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic' | 'deadline' | 'random'>;
  readonly libp2p: StreamHost;
  readonly access: Access;
  /** This node's frontier as this peer may see it, its digests over these collections. */
  readonly frontierFor: (peer: string, covers: Coverage) => readonly FrontierGroup[];
  /** A peer has asked, and shown its frontier. */
  readonly onFrontier: (connection: PeerConnection, shown: ShownFrontier) => Promise<void>;
  readonly onFailure: (peer: string, error: unknown) => void;
}

export interface FrontierProtocol {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Shows a peer this node's frontier and reads that of the peer, page by page; there is no total digest in it. */
  ask(connection: PeerConnection, signal: AbortSignal): AsyncGenerator<FrontierPage, string>;
}

export function createFrontierProtocol(components: FrontierComponents, network: string): FrontierProtocol {
  return new FrontierStreams(components, `/agrinet/${network}/frontier/1`);
}

class FrontierStreams implements FrontierProtocol {
  readonly #parts: FrontierComponents;
  readonly #protocol: string;
  readonly #slots = new AnswerSlots({ ...FRONTIER_LIMITS, further: FRONTIER_LIMITS.answering });
  readonly #turns: FrontierTurns;
  #stopping = new AbortController();

  constructor(components: FrontierComponents, protocol: string) {
    this.#parts = components;
    this.#protocol = protocol;
    this.#turns = new FrontierTurns(FRONTIER_LIMITS.pages, components.env.random);
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    await this.#parts.libp2p.handle(
      this.#protocol,
      (stream, connection) => this.#answer(stream, connection),
      { maxInboundStreams: FRONTIER_LIMITS.streams, maxOutboundStreams: FRONTIER_LIMITS.streams },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.#protocol);
  }

  async *ask(connection: PeerConnection, signal: AbortSignal): AsyncGenerator<FrontierPage, string> {
    const whole = AbortSignal.any([signal, this.#wholeExchange()]);
    const stream = await connection.newStream(this.#protocol, { signal: this.#soon(whole) });
    const frames = framed(stream, { maxFrame: LIMITS.frontierBytes });
    let done = false;
    try {
      await this.#send(frames, connection.remotePeer.toString(), OWN_COVERAGE, whole);
      yield* this.#pages(frames, whole);
      done = true;
      return '';
    } finally {
      if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
    }
  }

  async #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const { access, onFrontier, onFailure } = this.#parts;
    const peer = connection.remotePeer.toString();
    const frames = framed(stream, { maxFrame: LIMITS.frontierBytes });
    if (!access.mayReplicate(peer))
      return frames.abort(new AgrinetError('not-registered', 'not registered here'));
    const release = this.#slots.take(peer);
    if (release === undefined) return frames.abort(new AgrinetError('busy', 'too many at once'));
    try {
      const whole = this.#wholeExchange();
      const { groups, knows } = await wholeFrontier(this.#pages(frames, whole));
      await this.#send(frames, peer, commonCoverage(OWN_COVERAGE, knows), whole);
      // Whoever asks does not know yet what the other knows: its digests are over all that it knows itself.
      await onFrontier(connection, { groups, knows, covers: knows });
    } catch (error) {
      frames.abort(error instanceof Error ? error : new AgrinetError('internal', 'not an error'));
      onFailure(peer, error);
    } finally {
      release('taken');
    }
  }

  async #send(frames: FramedStream, peer: string, covers: Coverage, whole: AbortSignal): Promise<void> {
    const turn = new CpuTurn(this.#parts.env);
    for (const page of this.#turns.pagesFor(peer, this.#parts.frontierFor(peer, covers))) {
      await turn.pause();
      await frames.write(encodePage(page), this.#soon(whole));
    }
    await frames.close(this.#soon(whole));
  }

  async *#pages(frames: FramedStream, whole: AbortSignal): AsyncGenerator<FrontierPage> {
    const turn = new CpuTurn(this.#parts.env);
    for (let pages = 0; ; pages++) {
      const page = await frames.read(this.#soon(whole));
      if (page === null) return;
      if (pages >= FRONTIER_LIMITS.pages) throw new AgrinetError('frontier-malformed', 'too many pages');
      await turn.pause();
      yield decodeFrontier(page);
    }
  }

  /** For one page: within the whole, and until the node stops. */
  #soon(whole: AbortSignal): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, whole, this.#parts.env.deadline(FRONTIER_LIMITS.pageMs)]);
  }

  #wholeExchange(): AbortSignal {
    return this.#parts.env.deadline(FRONTIER_LIMITS.exchangeMs);
  }
}

/** All pages of a frontier; what its sender knows stands on the first. Throws what reading them throws. */
export async function wholeFrontier(
  pages: AsyncIterable<FrontierPage>,
): Promise<Omit<ShownFrontier, 'covers'>> {
  const groups: FrontierGroup[] = [];
  let knows: Coverage | undefined;
  for await (const page of pages) {
    knows ??= page.knows;
    groups.push(...page.groups);
  }
  return { groups, knows: knows ?? new Map() };
}
