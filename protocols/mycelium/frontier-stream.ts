import type { Coverage } from '../digest/coverage.ts';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { FramedStream } from '../wire/framed-stream.ts';
import type { FrontierTurns } from './frontier-turns.ts';
import { decodeFrontier, encodePage, type FrontierGroup, type FrontierPage } from './frontier-page.ts';
import { GatheredGroups } from './gathered-groups.ts';

/** The frontier that a peer has shown. */
export interface ShownFrontier {
  /** What was sent, and what is equal on this node that does not hold everything it covers. */
  readonly groups: readonly FrontierGroup[];
  /** Groups that are equal and complete on this node: nothing of them is missing on either side. */
  readonly same: readonly FrontierGroup[];
  /** All that the peer knows. */
  readonly knows: Coverage;
  /** The collections that its digests cover. */
  readonly covers: Coverage;
}

export interface FrontierStreamParts {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly frames: FramedStream;
  readonly turns: FrontierTurns;
  readonly peer: string;
  /** Pages in one exchange, in each direction. */
  readonly pages: number;
  /** For one frame: within the whole exchange, and until the node stops. */
  readonly soon: () => AbortSignal;
}

/**
 * The frames of one frontier exchange with a peer. Reading throws `frontier-malformed`, `not-canonical`, `stream-truncated` or the
 * stream's errors.
 */
export class FrontierStream {
  readonly #parts: FrontierStreamParts;
  /** Work on this peer's requests and data yields to other work. */
  readonly turn: CpuTurn;
  /** Pages that were sent and read. */
  moved = 0;

  constructor(parts: FrontierStreamParts) {
    this.#parts = parts;
    this.turn = new CpuTurn(parts.env);
  }

  get peer(): string {
    return this.#parts.peer;
  }

  write(frame: Uint8Array): Promise<void> {
    return this.#parts.frames.write(frame, this.#parts.soon());
  }

  read(): Promise<Uint8Array> {
    return this.#parts.frames.readNext(this.#parts.soon());
  }

  /** Ends this side. */
  close(): Promise<void> {
    return this.#parts.frames.close(this.#parts.soon());
  }

  /** Sends groups in pages, in turns where there are too many, and ends this side. */
  async sendPages(groups: readonly FrontierGroup[]): Promise<void> {
    for (const page of this.#parts.turns.pagesFor(this.peer, groups)) {
      await this.turn.pause();
      this.moved++;
      await this.write(encodePage(page));
    }
    await this.close();
  }

  /** Pages, until the other side ends. */
  async *pages(): AsyncGenerator<FrontierPage> {
    const { frames, soon, pages: most } = this.#parts;
    for (let pages = 0; ; pages++) {
      const page = await frames.read(soon());
      if (page === null) return;
      if (pages >= most) throw new AgrinetError('frontier-malformed', 'too many pages');
      await this.turn.pause();
      this.moved++;
      yield decodeFrontier(page);
    }
  }
}

/**
 * All pages of a frontier, one group per feed; what its sender knows is on the first. Throws what reading them throws, and
 * `frontier-malformed`.
 */
export async function wholeFrontier(
  pages: AsyncIterable<FrontierPage>,
): Promise<Omit<ShownFrontier, 'covers'>> {
  const gathered = new GatheredGroups();
  const same: FrontierGroup[] = [];
  let knows: Coverage | undefined;
  for await (const page of pages) {
    knows ??= page.knows;
    for (const group of page.groups) gathered.add(group);
    for (const group of page.same ?? []) same.push(group);
  }
  return { groups: gathered.all(), same, knows: knows ?? new Map() };
}
