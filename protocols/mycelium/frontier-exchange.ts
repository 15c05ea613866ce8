import type { Coverage } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { AskBudget } from './ask-budget.ts';
import { BoundedAnswers } from './answer-slots.ts';
import { DigestsFirst, type FrontierDialogue, WholePages } from './frontier-dialogues.ts';
import type { FrontierGroup, FrontierPage } from './frontier-page.ts';
import { FrontierStream, type ShownFrontier } from './frontier-stream.ts';
import { FrontierTurns } from './frontier-turns.ts';
import type { FrontierView } from './frontier-view.ts';
import type { Access } from './ports.ts';

/**
 * Frontier exchange. `/agrinet/<network>/frontier/2`: the requester sends the digest of its frontier; the responder answers that its
 * own is the same, or with the digests of its places, and then both send, in pages, what they hold at those that differ.
 * `/agrinet/<network>/frontier/1`, for peers that support no other: the requester sends all its pages and closes its side, and the
 * responder does the same. Afterwards each knows what the other has. A private channel is shown only to its participants. Not
 * guaranteed: that either still has the same a moment later.
 */
export const FRONTIER_LIMITS = {
  /** Pages in one exchange: about 10,000 feeds; a longer frontier is shown in turns. */
  pages: 64,
  /** One page in either direction. */
  pageMs: 5000,
  /** All of an exchange: pages that only trickle hold a place that others wait for, and cost their sender its second one. */
  exchangeMs: 60_000,
  /** Per connection, both ways: an exchange has one, and those of both sides may cross. */
  streams: 4,
  /** Exchanges answered at once, each with another peer. */
  answering: 32,
  /** Of them with one peer; two, because connections of both directions may cross. */
  answeringPerPeer: 2,
  /** Questions of one peer answered at once. It asks over each new connection, after each lost announcement, and every 45 s. */
  askBurst: 60,
  /** And one more after this time: twice as often as announcements can make a peer ask. */
  askEveryMs: 1000,
  /** So many pages, both ways, count as one more question: a page costs what it takes to compare a short frontier. */
  askPages: 4,
} as const;

export interface FrontierComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic' | 'deadline' | 'random'>;
  readonly libp2p: StreamHost;
  readonly access: Access;
  /** This node's frontier as this peer may see it, its digests over these collections. */
  readonly frontierFor: (peer: string, covers: Coverage) => readonly FrontierGroup[];
  /** The same, to be compared. */
  readonly viewFor: (peer: string, covers: Coverage, turn: Pick<CpuTurn, 'pause'>) => Promise<FrontierView>;
  /** A peer has asked, and shown its frontier. */
  readonly onFrontier: (connection: PeerConnection, shown: ShownFrontier) => Promise<void>;
  readonly onFailure: (peer: string, error: unknown) => void;
}

export class FrontierProtocol {
  readonly #parts: FrontierComponents;
  /** By protocol id, the one that is preferred first. */
  readonly #dialogues: ReadonlyMap<string, FrontierDialogue>;
  readonly #answers: BoundedAnswers;
  readonly #asked: AskBudget;
  readonly #turns: FrontierTurns;
  #stopping = new AbortController();

  constructor(components: FrontierComponents, network: string) {
    this.#parts = components;
    this.#dialogues = new Map<string, FrontierDialogue>([
      [`/agrinet/${network}/frontier/2`, new DigestsFirst(components.viewFor)],
      [`/agrinet/${network}/frontier/1`, new WholePages(components.frontierFor)],
    ]);
    this.#answers = new BoundedAnswers(components, {
      ...FRONTIER_LIMITS,
      further: FRONTIER_LIMITS.answering,
    });
    this.#asked = new AskBudget(FRONTIER_LIMITS, components.env);
    this.#turns = new FrontierTurns(FRONTIER_LIMITS.pages, components.env.random);
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    for (const [protocol, dialogue] of this.#dialogues)
      await this.#parts.libp2p.handle(
        protocol,
        (stream, connection) => this.#answer(dialogue, stream, connection),
        { maxInboundStreams: FRONTIER_LIMITS.streams, maxOutboundStreams: FRONTIER_LIMITS.streams },
      );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const protocol of this.#dialogues.keys()) await this.#parts.libp2p.unhandle(protocol);
  }

  /** Shows a peer this node's frontier and reads that of the peer, page by page; it contains no total digest. */
  async *ask(connection: PeerConnection, signal: AbortSignal): AsyncGenerator<FrontierPage, string> {
    const whole = AbortSignal.any([signal, this.#wholeExchange()]);
    const protocols = [...this.#dialogues.keys()];
    const stream = await connection.newStream(protocols, { signal: this.#soon(whole) });
    const frames = new FramedStream(stream, { maxFrame: LIMITS.frontierBytes });
    let done = false;
    try {
      const dialogue = this.#dialogues.get(stream.protocol);
      if (dialogue === undefined) throw new AgrinetError('internal', 'a protocol that was not asked for');
      yield* dialogue.ask(this.#exchange(frames, connection.remotePeer.toString(), whole));
      done = true;
      return '';
    } finally {
      if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
    }
  }

  async #answer(dialogue: FrontierDialogue, stream: ByteStream, connection: PeerConnection): Promise<void> {
    const { access, onFrontier } = this.#parts;
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, { maxFrame: LIMITS.frontierBytes });
    if (access.mayReplicate(peer) && !this.#asked.take(peer))
      return frames.abort(new AgrinetError('rate-limited', 'frontiers are asked for too often'));
    await this.#answers.give(frames, peer, async () => {
      const exchange = this.#exchange(frames, peer, this.#wholeExchange());
      try {
        await onFrontier(connection, await dialogue.answer(exchange));
      } finally {
        this.#asked.charge(peer, exchange.moved);
      }
    });
  }

  #exchange(frames: FramedStream, peer: string, whole: AbortSignal): FrontierStream {
    return new FrontierStream({
      env: this.#parts.env,
      frames,
      turns: this.#turns,
      peer,
      pages: FRONTIER_LIMITS.pages,
      soon: () => this.#soon(whole),
    });
  }

  /** For one frame: within the whole, and until the node stops. */
  #soon(whole: AbortSignal): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, whole, this.#parts.env.deadline(FRONTIER_LIMITS.pageMs)]);
  }

  #wholeExchange(): AbortSignal {
    return this.#parts.env.deadline(FRONTIER_LIMITS.exchangeMs);
  }
}
