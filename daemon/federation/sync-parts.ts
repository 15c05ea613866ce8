import type { ImportTotals, SyncOutcome, SyncSource } from '../../api/ports/exchange.ts';
import type { Env } from '../../protocols/env.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import type { RangeRequest } from '../../protocols/mycelium/range.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

/** What a sync needs of the node, so narrow that it can be the node in this process or one behind HTTP. */
export interface SyncTarget {
  /** An active registered node with an address, by its id. */
  source(id: string): Promise<SyncSource | undefined>;
  /** What is lacking here of what the source shows, as requests to ask it with. */
  plan(id: string, pages: AsyncIterable<FrontierPage>): Promise<readonly RangeRequest[]>;
  /** Takes entries in through the ledger. Throws `peer-sent-invalid` for one that was not asked for or does not hold. */
  receive(id: string, asked: RangeRequest, items: readonly RangeItem[]): Promise<TakenItems>;
  /** Checks and imports an export. */
  importLegacy(
    id: string,
    body: { readonly bytes: number; read(): AsyncIterable<Uint8Array> },
    options: { readonly force: boolean; readonly signal: AbortSignal },
  ): Promise<ImportTotals>;
  /** The header that shows who asks; path and query as behind the source's URL. */
  signRequest(id: string, method: string, path: string): Promise<string>;
  /** Asks the source's node key about another certificate: the fingerprint now in force, or throws `certificate-foreign`. */
  renewCertificate(id: string): Promise<string>;
  noteSync(id: string, outcome: SyncOutcome): Promise<void>;
}

export interface SyncJob {
  /** A peer id, or `legacy:<origin>`. */
  readonly source: string;
  /** Forget what was remembered of the source; for an old node, build its part of the catalogue anew. No check is skipped. */
  readonly force: boolean;
}

export interface SyncRun {
  readonly signal: AbortSignal;
  progress(update: { [name: string]: string | number }): Promise<void>;
}

export interface SyncParts {
  readonly target: SyncTarget;
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic' | 'offload'>;
  readonly fetch: GuardedFetch;
}
