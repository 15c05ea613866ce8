import type { ErrorCode } from '../../protocols/error-codes.ts';
import type { FeedName } from '../../protocols/ledger/types.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import type { NextRange } from '../../protocols/mycelium/range.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** A registered node that can be synced with over HTTP, named by node id. */
export type SyncSource =
  | {
      readonly kind: 'agrinetd';
      readonly id: PeerId;
      readonly url: string;
      /** SHA-256 hex; empty without TLS. */
      readonly tlsFingerprint: string;
    }
  | { readonly kind: 'legacy'; readonly id: `legacy:${string}`; readonly url: string };

/** A request to one registered node for its feeds, signed by this node's key; good for five minutes, once. */
export interface SignedRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query behind the node's URL. */
  readonly path: string;
  /** The value of `x-agrinet-request`. */
  readonly header: string;
  /** The range request that is posted. */
  readonly body?: Uint8Array;
}

/** A source with everything needed to ask it: for the process that asks it, and nobody else. */
export type AskedSource =
  | (Extract<SyncSource, { kind: 'agrinetd' }> & {
      /** For its frontier. */
      readonly request: SignedRequest;
      /** Of the frontier, when nothing was missing after it. */
      readonly etag?: string | undefined;
    })
  | (Extract<SyncSource, { kind: 'legacy' }> & {
      readonly key?: string | undefined;
      readonly etag?: string | undefined;
    });

/** The result of an import or a legacy pull. */
export interface ImportTotals {
  imported: number;
  unchanged: number;
  refusedCount: number;
  /** The first hundred, one by one. */
  refused: { collection: string; index: number; id?: string; reason: string }[];
}

/** How a sync ended; kept per source. */
export interface SyncOutcome {
  readonly received: number;
  /** How many of them are in private channels. */
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

/** The same as a worker reports it: of an error only the code, since it is shown to everybody. */
export interface WorkerOutcome extends Omit<SyncOutcome, 'error'> {
  readonly error?: { readonly code: ErrorCode };
}

/** What a sync needs of the node, narrow enough to be the node in this process or one behind HTTP. */
export interface SyncTarget {
  /** An active registered node with an address, by its id. Throws `peer-distrusted` for one that is left alone for a while. */
  source(id: string): Promise<AskedSource | undefined>;
  /** Feeds of which the source shows something that is missing here. Throws `source-unknown`. */
  plan(id: string, pages: AsyncIterable<FrontierPage>): Promise<readonly FeedName[]>;
  /**
   * What to request from the source, of the epochs from `from` on: created and signed now. Throws `source-unknown`,
   * `peer-distrusted`.
   */
  rangeRequest(id: string, feed: FeedName, from?: string): Promise<NextRange<SignedRequest>>;
  /** Takes entries in through the ledger. Throws `source-unknown`, and `peer-sent-invalid` for one that was not asked for or does not hold. */
  receive(id: string, feed: FeedName, items: readonly RangeItem[]): Promise<TakenItems>;
  /** Checks and imports an export. */
  importLegacy(
    id: string,
    body: { readonly bytes: number; read(): AsyncIterable<Uint8Array> },
    options: { readonly force: boolean; readonly signal: AbortSignal },
  ): Promise<ImportTotals>;
  /** Asks the source's node key about another certificate: the fingerprint now in force, or throws `certificate-foreign`. */
  renewCertificate(id: string): Promise<string>;
  noteSync(id: string, outcome: SyncOutcome): Promise<void>;
}
