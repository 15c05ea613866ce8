import type { Env } from '../../protocols/env.ts';
import type { AskedSource, SyncOutcome } from '../../api/ports/sync-target.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { beginningOf, gunzipped, isGzip } from '../../protocols/wire/gzip.ts';
import { IMPORT_LIMITS } from './legacy-import.ts';
import { spool } from './spool.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import type { SyncParts, SyncRun } from './sync-parts.ts';

/** All of an export; old nodes are slow. */
const EXPORT_MS = 10 * 60_000;
/** How long an old back end may be silent: some build the whole export before they send the first byte. */
const IDLE_MS = 30_000;
/** Characters; it is kept, and sent back with the next request. */
const MAX_ETAG = 256;

/** Asks an old node for its export and imports it; one that has not changed costs an ETag, or its transfer. */
export async function pullExport(
  { target, fetch, env }: SyncParts,
  source: Extract<AskedSource, { kind: 'legacy' }>,
  force: boolean,
  run: SyncRun,
): Promise<SyncOutcome> {
  const { key } = source;
  const headers: Record<string, string> = { accept: 'application/json' };
  if (key !== undefined) headers['x-api-key'] = key;
  if (!force && source.etag !== undefined) headers['if-none-match'] = source.etag;
  const answer = await fetch(`${source.url}/federation/export`, {
    headers,
    timeoutMs: EXPORT_MS,
    idleMs: IDLE_MS,
    maxBytes: IMPORT_LIMITS.bodyBytes,
    gzip: true,
    signal: run.signal,
  });
  if (answer.status === 304) {
    await answer.bytes();
    const etag = source.etag === undefined ? {} : { etag: source.etag };
    return { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0, ...etag };
  }
  if (answer.status !== 200) {
    await answer.bytes().catch(() => undefined); // only so that the connection is free again
    if (answer.status === 401 || answer.status === 403) throw keyWanted(source);
    throw new AgrinetError('peer-refused', `${source.url} answered with status ${answer.status}`);
  }
  const body = await spool(
    watched(plain(steady(answer.body, { error: pullSlow, env }), env), run),
    IMPORT_LIMITS.bodyBytes,
  );
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

/** Tried again it would be refused again: only the operator can remedy it. */
function keyWanted({ url, key }: Extract<AskedSource, { kind: 'legacy' }>): AgrinetError {
  const remedy = `agrinet nodes add ${url} --key-file <file with the key>`;
  return key === undefined
    ? new AgrinetError('source-key-needed', `${url} requires an API key: ${remedy}`)
    : new AgrinetError(
        'source-key-refused',
        `${url} rejected the API key stored for it; set another one: ${remedy}`,
      );
}

/** The decompressed body, if its first bytes show gzip: headers are missing or wrong where servers compress unasked. */
async function* plain(
  body: AsyncIterable<Uint8Array>,
  env: Pick<Env, 'offload'>,
): AsyncGenerator<Uint8Array> {
  const { head, all } = await beginningOf(body, 2);
  if (!isGzip(head)) {
    yield* all;
    return;
  }
  try {
    yield* gunzipped(all, IMPORT_LIMITS.bodyBytes, env.offload);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'gzip-damaged')
      throw new AgrinetError('export-malformed', 'the gzip data of the export are truncated or damaged', {
        cause: error,
      });
    if (code === 'gzip-too-large')
      throw new AgrinetError(
        'body-too-large',
        `the export is larger than ${IMPORT_LIMITS.bodyBytes / 1024 / 1024} MiB`,
        {
          cause: error,
        },
      );
    throw error;
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
