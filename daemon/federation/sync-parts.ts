import type { SyncTarget } from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

export interface SyncJob {
  /** A peer id, or `legacy:<origin>`. */
  readonly source: string;
  /** Forget what was remembered of the source; for an old node, rebuild its part of the catalogue. No check is skipped. */
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
