import type {
  AskedSource,
  SignedRequest,
  SyncOutcome,
  SyncSource,
  SyncTarget,
} from '../../api/ports/sync-target.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FeedName } from '../../protocols/ledger/types.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import type { FrontierGroup, FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import { feedId, GatheredGroups } from '../../protocols/mycelium/gathered-groups.ts';
import { HeldFeeds, type HeldFeedsParts } from '../../protocols/mycelium/held-feeds.ts';
import { OwedFeeds } from '../../protocols/mycelium/owed-feeds.ts';
import type { NextRange } from '../../protocols/mycelium/range.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { SourceTable } from '../../storage/source-table.ts';
import type { FeedRequests } from './feed-requests.ts';
import type { LegacyImporter } from './legacy-import.ts';
import type { Reporter } from './sync-outcomes.ts';

export interface LocalTargetParts extends HeldFeedsParts {
  /** Active registered nodes that have an address. */
  readonly sources: () => readonly SyncSource[];
  readonly sourceKey: (id: string) => string | undefined;
  readonly requests: FeedRequests;
  readonly importer: LegacyImporter;
  readonly table: SourceTable;
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
  readonly onOutcome: (id: string, outcome: SyncOutcome, reporter: Reporter) => void;
  /** All that a source has shown of the feeds that hold promises of this node is held here. */
  readonly onOwnHeld: (id: string) => void;
  readonly now: () => number;
}

/** This node as the target of a sync: entries go through the ledger, the one way in. */
export class LocalTarget implements SyncTarget {
  readonly #parts: LocalTargetParts;
  readonly #held: HeldFeeds;
  readonly #owed: OwedFeeds;
  /** Frontiers after which nothing was missing, and who was followed then. In memory: a restart may have lost entries. */
  readonly #frontiers = new Map<string, { etag: string; following: string }>();
  /** Sources that had more feeds to give than one plan asks for: the next sync has to see their frontier again. */
  readonly #unfinished = new Set<string>();

  constructor(parts: LocalTargetParts) {
    this.#parts = parts;
    this.#held = new HeldFeeds(parts);
    this.#owed = new OwedFeeds(parts);
  }

  async source(id: string): Promise<AskedSource | undefined> {
    const { requests, table, sourceKey } = this.#parts;
    const found = this.#registered(id);
    if (found === undefined) return undefined;
    if (found.kind === 'agrinetd') {
      const known = this.#frontiers.get(id);
      const asked = requests.frontier(found);
      return known?.following === this.#following() ? { ...asked, etag: known.etag } : asked;
    }
    const etag = (await table.get(id))?.etag;
    const key = sourceKey(id);
    return { ...found, ...(etag === undefined ? {} : { etag }), ...(key === undefined ? {} : { key }) };
  }

  async plan(id: string, pages: AsyncIterable<FrontierPage>): Promise<readonly FeedName[]> {
    this.#agrinetd(id);
    const { env, self } = this.#parts;
    const turn = new CpuTurn(env);
    /** Of feeds that may hold promises, and of those of which nothing is known to be missing: the rest of a frontier is not kept. */
    const kept = new GatheredGroups();
    const behind = new Map<string, FeedName>();
    const isPromising = ({ author, channel }: FrontierGroup): boolean =>
      author === self || channel !== 'public';
    for await (const { groups } of pages)
      for (const group of groups) {
        await turn.pause();
        if (!this.#held.takes(group.author)) continue;
        const feed = feedId(group);
        if (isPromising(group) || !behind.has(feed)) kept.add(group);
        if (!behind.has(feed) && this.#held.isBehind(group))
          behind.set(feed, { author: group.author, channel: group.channel });
      }
    this.#owed.noted(id, await this.#owed.owedOf(kept.all().filter(isPromising), turn));
    if (behind.size > CATCH_UP_LIMITS.wantedPerPeer) this.#unfinished.add(id);
    else this.#unfinished.delete(id);
    return [...behind.values()].slice(0, CATCH_UP_LIMITS.wantedPerPeer);
  }

  async rangeRequest(id: string, feed: FeedName, from?: string): Promise<NextRange<SignedRequest>> {
    const source = this.#agrinetd(id);
    const { request, next } = this.#held.rangeRequest(feed, from);
    return { request: this.#parts.requests.range(source, request), next };
  }

  async receive(id: string, feed: FeedName, items: readonly RangeItem[]): Promise<TakenItems> {
    return this.#held.receive(this.#agrinetd(id).id, feed, items);
  }

  importLegacy(
    ...[id, body, options]: Parameters<SyncTarget['importLegacy']>
  ): ReturnType<SyncTarget['importLegacy']> {
    return this.#parts.importer.take(id, body, options);
  }

  async renewCertificate(id: string): Promise<string> {
    return this.#parts.renewCertificate(this.#agrinetd(id).id);
  }

  noteSync(id: string, outcome: SyncOutcome): Promise<void> {
    return this.note(id, outcome, 'daemon');
  }

  /** Records how a sync ended, and who reports it. */
  async note(id: string, outcome: SyncOutcome, reporter: Reporter): Promise<void> {
    const { table, onOutcome, onOwnHeld } = this.#parts;
    const { etag, error } = outcome;
    if (!id.startsWith('legacy:') && error === undefined && etag !== undefined && !this.#unfinished.has(id))
      this.#frontiers.set(id, { etag, following: this.#following() });
    else this.#frontiers.delete(id);
    await table.save(rowAfter(id, await table.get(id), outcome, this.#parts.now()));
    onOutcome(id, outcome, reporter);
    if (this.#owed.isHeld(id)) onOwnHeld(id);
  }

  /** Looks at the source's whole frontier again at the next sync. */
  forget(id: string): void {
    this.#frontiers.delete(id);
  }

  #registered(id: string): SyncSource | undefined {
    return this.#parts.sources().find((each) => each.id === id);
  }

  #agrinetd(id: string): Extract<SyncSource, { kind: 'agrinetd' }> {
    const found = this.#registered(id);
    if (found?.kind === 'agrinetd') return found;
    throw new AgrinetError('source-unknown', `${id} is not an active registered node`);
  }

  #following(): string {
    const { sources, follows } = this.#parts;
    return sources()
      .flatMap((source) => (source.kind === 'agrinetd' && follows(source.id) ? [source.id] : []))
      .sort()
      .join();
  }
}

type SourceRow = Parameters<SourceTable['save']>[0];

/** What is stored of a source after a sync: of a failed one, what was known before and the error. */
function rowAfter(
  id: string,
  before: SourceRow | undefined,
  { received, imported, refused, bytes, lastHash, etag, error }: SyncOutcome,
  now: number,
): SourceRow {
  const hash = lastHash ?? before?.lastHash;
  // That of a frontier counts for this process alone.
  const kept = id.startsWith('legacy:') ? (error === undefined ? etag : before?.etag) : undefined;
  return {
    id,
    lastSyncAt: error === undefined ? now : (before?.lastSyncAt ?? 0),
    lastTryAt: now,
    received,
    imported,
    refused,
    bytes,
    ...(hash === undefined ? {} : { lastHash: hash }),
    ...(kept === undefined ? {} : { etag: kept }),
    ...(error === undefined ? {} : { error }),
  };
}
