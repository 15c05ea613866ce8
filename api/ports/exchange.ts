import type { JobState } from './jobs.ts';
import type { LegacyRow } from '../../protocols/market/legacy.ts';
import type { RangeRequest } from '../../protocols/mycelium/range.ts';
import type { Coverage } from '../../protocols/digest/coverage.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import type { OnUnread } from '../../protocols/unread.ts';
import type { ImportTotals, SyncSource, SyncTarget, WorkerOutcome } from './sync-target.ts';

/** A position in this node's own change order; another generation means that everything was derived again. */
export interface ChangePosition {
  readonly generation: string;
  readonly change: number;
}

/** The change order, for exports that begin where the last one ended. */
export interface ChangeReader {
  now(): Promise<ChangePosition>;
  /**
   * Records changed after a position, in that order, each once and in its current state; ended ones are included, and those whose
   * rows are damaged are reported.
   */
  since(change: number, onUnread?: OnUnread): AsyncGenerator<RecordState>;
}

/** An item of an old node, as kept. */
export interface LegacyItem extends Pick<LegacyRow, 'id' | 'updatedAt' | 'item'> {
  readonly source: string;
  readonly collection: string;
}

export interface LegacyReader {
  sources(): Promise<string[]>;
  /** One page, in the order of ids; `cursor` continues it. */
  list(
    collection: string,
    source: string,
    limit: number,
    cursor?: string,
  ): Promise<{ readonly items: readonly LegacyItem[]; readonly cursor?: string }>;
}

/** What the exchange routes need of the node. */
export interface ExchangePort {
  readonly changes: ChangeReader;
  readonly feeds: {
    /** Public feeds, their digests over these collections, and the private channels that a verified signer takes part in. */
    list(signer: PeerId | undefined, covers: Coverage): readonly FrontierGroup[];
    /** Digest over all public records in these collections, hex. */
    totalDigest(covers: Coverage): string;
    mayHold(peer: PeerId, channel: Channel): boolean;
    range(request: RangeRequest): AsyncGenerator<RangeItem>;
  };
  /** The signer of a request header for this method and path; throws `request-unsigned`. */
  openRequest(header: string, method: string, path: string): PeerId;
  readonly legacy: LegacyReader;
  /** Active registered nodes that have an address. */
  sources(): readonly SyncSource[];
  /** Throws `source-unknown`. */
  pull(sourceUrl: string, force: boolean): Promise<{ readonly id: string; readonly state: JobState }>;
  /** Queues a sync of every source, at most once a minute. */
  syncAll(): Promise<{ readonly jobs: number } | { readonly coalesced: true; readonly next: number }>;
  /** Takes an export body in under a source. Throws `export-malformed`, `export-differs`, `schema-newer`, `body-too-large`. */
  importLegacy(
    source: string,
    body: AsyncIterable<Uint8Array>,
    options: { readonly force: boolean; readonly signal?: AbortSignal },
  ): Promise<ImportTotals & { readonly sha256: string }>;
  /** For workers in other processes. Nothing that one reports of a sync is held against the source. */
  readonly worker: Omit<SyncTarget, 'importLegacy' | 'noteSync'> & {
    noteSync(id: string, outcome: WorkerOutcome): Promise<void>;
  };
}
