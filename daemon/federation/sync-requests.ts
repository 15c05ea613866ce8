import type { Job } from '../../api/ports/jobs.ts';
import type { ExchangePort } from '../../api/ports/exchange.ts';
import type { SyncSource } from '../../api/ports/sync-target.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** `GET /federation/sync` is public: however often it is called, sources are asked once in this time. */
const COALESCE_MS = 60_000;
/** This many of the unreachable sources get a job in one round, in turn: a failing job is also written, retried and reported. */
const LOST_PER_ROUND = 32;

export interface SyncRequestsParts {
  /** Whom this node can sync with over HTTP. */
  readonly sources: () => readonly SyncSource[];
  /** Whether it was heard from a moment ago. */
  readonly isReached: (id: string) => boolean;
  readonly addJob: (
    data: { readonly source: string; readonly force: boolean },
    key: string,
  ) => Promise<Pick<Job, 'id' | 'state'>>;
  /** Derives again what follows from the entries of an author. */
  readonly scrubAuthor: (author: PeerId) => Promise<void>;
  /** Looks at a source's whole frontier again at the next sync. */
  readonly forget: (id: string) => void;
  /** Frontiers with connected peers, at once. */
  readonly syncNow: () => void;
  readonly now: () => number;
  /** A clock that nobody sets, milliseconds. */
  readonly steady: () => number;
}

/** Syncs that somebody asks for: each becomes a job. */
export class SyncRequests implements Pick<ExchangePort, 'pull' | 'syncAll'> {
  readonly #parts: SyncRequestsParts;
  #queuedAt = -Infinity;
  /** Where among the sources that are not reached the next round begins. */
  #nextLost = 0;

  constructor(parts: SyncRequestsParts) {
    this.#parts = parts;
  }

  async pull(sourceUrl: string, force: boolean): Promise<Pick<Job, 'id' | 'state'>> {
    const source = this.#sourceOf(sourceUrl);
    if (force) await this.#rebuildFrom(source);
    return this.#parts.addJob({ source: source.id, force }, source.id);
  }

  async syncAll(): ReturnType<ExchangePort['syncAll']> {
    const { sources, addJob, syncNow, now, steady } = this.#parts;
    const at = steady();
    if (at - this.#queuedAt < COALESCE_MS)
      return { coalesced: true, next: now() + COALESCE_MS - (at - this.#queuedAt) };
    this.#queuedAt = at;
    try {
      syncNow();
      const due = this.#due(sources());
      for (const { id } of due) await addJob({ source: id, force: false }, id);
      return { jobs: due.length };
    } catch (error) {
      this.#queuedAt = -Infinity; // nothing was queued for certain: the next call tries again
      throw error;
    }
  }

  /** All that are reached, and some of the others. */
  #due(all: readonly SyncSource[]): SyncSource[] {
    const [reached, lost]: [SyncSource[], SyncSource[]] = [[], []];
    for (const each of all) (this.#parts.isReached(each.id) ? reached : lost).push(each);
    if (lost.length <= LOST_PER_ROUND) return [...reached, ...lost];
    const from = this.#nextLost % lost.length;
    this.#nextLost = from + LOST_PER_ROUND;
    return [...reached, ...lost.slice(from), ...lost.slice(0, from)].slice(
      0,
      reached.length + LOST_PER_ROUND,
    );
  }

  /**
   * What is held of the source is derived again from its feeds; what is missing arrives with the sync, whose frontier is read again.
   */
  async #rebuildFrom(source: SyncSource): Promise<void> {
    if (source.kind !== 'agrinetd') return;
    this.#parts.forget(source.id);
    await this.#parts.scrubAuthor(source.id);
  }

  /** The registered node of a URL: this very one, or its origin. */
  #sourceOf(sourceUrl: string): SyncSource {
    const plain = sourceUrl.replace(/\/+$/, '');
    const origin = originOf(sourceUrl);
    const all = this.#parts.sources();
    const found =
      all.find(({ url }) => url === plain) ??
      all.find(({ url }) => origin !== undefined && originOf(url) === origin);
    if (found !== undefined) return found;
    throw new AgrinetError(
      'source-unknown',
      'sourceUrl is not the URL of an active registered node; see agrinet nodes, and register it with agrinet join',
    );
  }
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined;
}
