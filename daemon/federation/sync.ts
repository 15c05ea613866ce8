import type { ImportTotals, SyncOutcome, SyncSource, TakenEntries } from '../../api/ports/exchange.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import type { RangeItem, RangeRequest } from '../../protocols/mycelium/range.ts';
import { openSession } from './connection-session.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { pullFeeds } from './https-pull.ts';
import { pullExport } from './legacy-pull.ts';

/** What a sync needs of the node, so narrow that it can be the node in this process or one behind HTTP. */
export interface SyncTarget {
  /** An active registered node with an address, by its id. */
  source(id: string): Promise<SyncSource | undefined>;
  /** What is lacking here of what the source shows, as requests to ask it with. */
  plan(id: string, shown: readonly FrontierGroup[]): Promise<readonly RangeRequest[]>;
  /** Takes entries in through the ledger. Throws `peer-sent-invalid` for one that was not asked for or does not hold. */
  receive(id: string, asked: RangeRequest, items: readonly RangeItem[]): Promise<TakenEntries>;
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
  readonly fetch: GuardedFetch;
}

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0 } as const;

/** One sync of one source. What came of it is noted at the target, also when it fails; then it throws. */
export async function syncSource(parts: SyncParts, job: SyncJob, run: SyncRun): Promise<SyncOutcome> {
  const { target } = parts;
  const source = await target.source(job.source);
  if (source === undefined)
    throw new AgrinetError(
      'source-unknown',
      `${job.source} is not an active registered node with an address`,
    );
  // One connection for the frontier and the ranges; none is left open when the sync is over.
  const session = openSession();
  const over: SyncParts = { target, fetch: (url, request) => parts.fetch(url, { ...request, session }) };
  try {
    const outcome =
      source.kind === 'agrinetd'
        ? await pullFeeds(over, source, job.force, run)
        : await pullExport(over, source, job.force, run);
    session.close();
    await target.noteSync(source.id, outcome);
    return outcome;
  } catch (error) {
    // Only our own words: what a source answers is repeated nowhere.
    const message = error instanceof AgrinetError ? error.message : 'internal error; see the log';
    await target.noteSync(source.id, { ...NOTHING, error: { code: errorCode(error), message } });
    throw error;
  } finally {
    session.close();
  }
}
