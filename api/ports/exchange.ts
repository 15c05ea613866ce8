import type { ErrorCode } from '../../protocols/error-codes.ts';
import type { FrontierItem } from '../../protocols/feed/frontier.ts';
import type { Json } from '../../protocols/wire/json.ts';
import type { RangeRequest } from '../../protocols/mycelium/range.ts';
import type { Coverage } from '../../protocols/digest/coverage.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import type { OnUnread } from '../../protocols/unread.ts';

/** A place in this node's own change order; another generation means that everything derived was made anew. */
export interface ChangePosition {
  readonly generation: string;
  readonly change: number;
}

/** The change order, for exports that begin where the last one ended. */
export interface ChangeReader {
  now(): Promise<ChangePosition>;
  /** Records changed after a place, in that order, each once and as it stands now; those that ended are among them, and those whose rows are damaged are told of. */
  since(change: number, onUnread?: OnUnread): AsyncGenerator<RecordState>;
}

/** A feed group as shown over HTTP; `digest` only for public ones. */
export interface ShownFeed {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly items: readonly FrontierItem[];
  readonly digest?: string;
}

/** What an import or a legacy pull did. */
export interface ImportTotals {
  imported: number;
  unchanged: number;
  refusedCount: number;
  /** The first hundred, one by one. */
  refused: { collection: string; index: number; id?: string; reason: string }[];
}

/** An item of an old node, as kept. */
export interface LegacyItem {
  readonly source: string;
  readonly collection: string;
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  readonly item: Readonly<Record<string, Json>>;
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

/** A registered node that can be synced with over HTTP, named by node id. */
export type SyncSource =
  | {
      readonly kind: 'agrinetd';
      readonly id: PeerId;
      readonly url: string;
      /** SHA-256 hex; empty without TLS. */
      readonly tlsFingerprint: string;
      /** Of the frontier, when nothing was lacking after it. */
      readonly etag?: string;
    }
  | {
      readonly kind: 'legacy';
      readonly id: `legacy:${string}`;
      readonly url: string;
      readonly etag?: string;
      /** What this source, and no other place, is asked with. Only for whoever asks it. */
      readonly key?: string;
    };

/** How a sync ended; kept per source. */
export interface SyncOutcome {
  readonly received: number;
  /** How many of them came in private channels. */
  readonly receivedPrivate?: number;
  readonly imported: number;
  readonly unchanged: number;
  readonly refused: number;
  readonly bytes: number;
  /** State digest of the source's total, or the SHA-256 of its export. */
  readonly lastHash?: string;
  readonly etag?: string;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** The same as a worker tells it: of an error only the code, since it is shown to everybody. */
export interface WorkerOutcome extends Omit<SyncOutcome, 'error'> {
  readonly error?: { readonly code: ErrorCode };
}

/** What the exchange routes need of the node. */
export interface ExchangePort {
  readonly changes: ChangeReader;
  readonly feeds: {
    /** Public feeds, their digests over these collections, and the private channels that a verified signer takes part in. */
    list(signer: PeerId | undefined, covers: Coverage): readonly ShownFeed[];
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
  pull(sourceUrl: string, force: boolean): Promise<{ readonly id: string; readonly state: string }>;
  /** Queues a sync of every source, at most once a minute. */
  syncAll(): Promise<{ readonly jobs: number } | { readonly coalesced: true; readonly next: number }>;
  /** Takes an export body in under a source. Throws `export-malformed`, `export-differs`, `schema-newer`, `body-too-large`. */
  importLegacy(
    source: string,
    body: AsyncIterable<Uint8Array>,
    options: { readonly force: boolean; readonly signal?: AbortSignal },
  ): Promise<ImportTotals & { readonly sha256: string }>;
  /** For workers in other processes. */
  readonly worker: {
    source(id: string): Promise<SyncSource | undefined>;
    plan(id: string, pages: AsyncIterable<FrontierPage>): Promise<readonly RangeRequest[]>;
    receive(id: string, asked: RangeRequest, items: readonly RangeItem[]): Promise<TakenItems>;
    signRequest(id: string, method: string, path: string): Promise<string>;
    /** The fingerprint in force after the owner was asked; throws `certificate-foreign`. */
    renewCertificate(id: string): Promise<string>;
    /** Nothing that a worker says here is held against the source. */
    noteSync(id: string, outcome: WorkerOutcome): Promise<void>;
  };
}
