import { syncSource } from '../federation/sync.ts';
import type { SyncParts } from '../federation/sync-parts.ts';
import { type JobHandler, textOf } from './job-queue.ts';

/** The handler of `federation-sync` jobs `{source, force}`, in the daemon and in a worker alike; doing it twice imports nothing twice. */
export function syncHandler(parts: SyncParts): JobHandler {
  return async (job, { signal, progress }) => {
    const source = textOf(job, 'source') ?? '';
    const outcome = await syncSource(
      parts,
      { source, force: job.data['force'] === true },
      { signal, progress },
    );
    const { received, imported, unchanged, refused, bytes, lastHash } = outcome;
    return { received, imported, unchanged, refused, bytes, ...(lastHash === undefined ? {} : { lastHash }) };
  };
}
