import type { AskedSource, SyncOutcome, SyncTarget } from '../../api/ports/sync-target.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { openSession } from './connection-session.ts';
import { pullFeeds } from './https-pull.ts';
import { pullExport } from './legacy-pull.ts';
import type { SyncJob, SyncParts, SyncRun } from './sync-parts.ts';

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0 } as const;

/**
 * One sync of one source. Its outcome is recorded at the target, also when it fails, if the source was asked or is disregarded for a
 * while; then it throws.
 */
export async function syncSource(parts: SyncParts, job: SyncJob, run: SyncRun): Promise<SyncOutcome> {
  const { target, env } = parts;
  // One connection for the frontier and the ranges; none is left open when the sync is over.
  const session = openSession(env);
  const over: SyncParts = { target, env, fetch: (url, request) => parts.fetch(url, { ...request, session }) };
  let isKnown = false;
  try {
    const source = await sourceOf(target, job.source);
    isKnown = true;
    const outcome = await (source.kind === 'agrinetd'
      ? pullFeeds(over, source, job.force, run)
      : pullExport(over, source, job.force, run));
    session.close();
    await target.noteSync(job.source, outcome);
    return outcome;
  } catch (error) {
    const code = errorCode(error);
    // Only our own messages: what a source answers is never repeated.
    const message = error instanceof AgrinetError ? error.message : 'internal error; see the log';
    // Of a node that is not registered nothing is noted; and what failed before it was asked was not the source.
    if (code === 'peer-distrusted' || (isKnown && code !== 'source-unknown'))
      await target.noteSync(job.source, { ...NOTHING, error: { code, message } });
    throw error;
  } finally {
    session.close();
  }
}

/** Throws `source-unknown`, `peer-distrusted`. */
async function sourceOf(target: SyncTarget, id: string): Promise<AskedSource> {
  const source = await target.source(id);
  if (source !== undefined) return source;
  throw new AgrinetError('source-unknown', `${id} is not an active registered node with a URL`);
}
