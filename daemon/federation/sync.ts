import type { SyncOutcome } from '../../api/ports/exchange.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { openSession } from './connection-session.ts';
import { pullFeeds } from './https-pull.ts';
import { pullExport } from './legacy-pull.ts';
import type { SyncJob, SyncParts, SyncRun } from './sync-parts.ts';

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0 } as const;

/** One sync of one source. What came of it is noted at the target, also when it fails; then it throws. */
export async function syncSource(parts: SyncParts, job: SyncJob, run: SyncRun): Promise<SyncOutcome> {
  const { target, env } = parts;
  const source = await target.source(job.source);
  if (source === undefined)
    throw new AgrinetError(
      'source-unknown',
      `${job.source} is not an active registered node with an address`,
    );
  // One connection for the frontier and the ranges; none is left open when the sync is over.
  const session = openSession(env);
  const over: SyncParts = { target, env, fetch: (url, request) => parts.fetch(url, { ...request, session }) };
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
