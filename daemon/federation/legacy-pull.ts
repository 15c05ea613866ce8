import type { SyncOutcome, SyncSource } from '../../api/ports/exchange.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { IMPORT_LIMITS } from './legacy-import.ts';
import { spool } from './spool.ts';
import type { SyncParts, SyncRun } from './sync-parts.ts';

/** All of an export; old nodes are slow. */
const EXPORT_MS = 10 * 60_000;
const IDLE_MS = 30_000;
/** Characters; it is kept, and sent back with the next request. */
const MAX_ETAG = 256;

/** Asks an old node for its export and imports it; one that has not changed costs an ETag, or its transfer. */
export async function pullExport(
  { target, fetch }: SyncParts,
  source: Extract<SyncSource, { kind: 'legacy' }>,
  force: boolean,
  run: SyncRun,
): Promise<SyncOutcome> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (!force && source.etag !== undefined) headers['if-none-match'] = source.etag;
  const answer = await fetch(`${source.url}/federation/export`, {
    headers,
    timeoutMs: EXPORT_MS,
    idleMs: IDLE_MS,
    maxBytes: IMPORT_LIMITS.bodyBytes,
    signal: run.signal,
  });
  if (answer.status === 304) {
    await answer.bytes();
    const etag = source.etag === undefined ? {} : { etag: source.etag };
    return { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0, ...etag };
  }
  if (answer.status !== 200) {
    await answer.bytes().catch(() => undefined); // only so that the connection is free again
    throw new AgrinetError('peer-refused', `${source.url} answered with status ${answer.status}`);
  }
  const body = await spool(watched(answer.body, run), IMPORT_LIMITS.bodyBytes);
  try {
    const totals = await target.importLegacy(source.id, body, { force, signal: run.signal });
    const etag = answer.headers['etag'];
    return {
      received: 0,
      imported: totals.imported,
      unchanged: totals.unchanged,
      refused: totals.refusedCount,
      bytes: body.bytes,
      lastHash: body.sha256,
      ...(typeof etag === 'string' && etag.length <= MAX_ETAG ? { etag } : {}),
    };
  } finally {
    await body.close();
  }
}

/** The body, until the run is to end; progress once a MiB. */
async function* watched(body: AsyncIterable<Uint8Array>, run: SyncRun): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let told = 0;
  for await (const chunk of body) {
    run.signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes - told >= 1024 * 1024) {
      told = bytes;
      await run.progress({ bytes });
    }
    yield chunk;
  }
}
