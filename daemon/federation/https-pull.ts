import type { SyncOutcome, SyncSource } from '../../api/ports/exchange.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import {
  FRONTIER_SEQUENCE,
  FRONTIER_SEQUENCE_LIMITS,
  readFrontierSequence,
} from '../../protocols/mycelium/frontier-sequence.ts';
import { decodeItems } from '../../protocols/mycelium/item-sequence.ts';
import { encodeRangeRequest, type RangeRequest } from '../../protocols/mycelium/range.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { ITEM_HEAD_BYTES, type RangeItem } from '../../protocols/mycelium/range-item.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import type { GuardedAnswer } from './guarded-fetch.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import type { SyncParts, SyncRun } from './sync-parts.ts';

export const PULL_LIMITS = {
  /** A frontier, in pages. */
  frontierBytes: FRONTIER_SEQUENCE_LIMITS.sequenceBytes,
  /** All of that answer. */
  frontierMs: 30_000,
  /** One range: a hundred thousand entries; what is left comes with the next sync. */
  rangeBytes: 1024 * 1024 * 1024,
  /** All of that answer. */
  rangeMs: 10 * 60_000,
  /** So long a sync goes on without an entry that is new here; it gives its place to others then. */
  uselessMs: 60_000,
  /** Silence that ends a request. */
  idleMs: 15_000,
  /** Taken in at once: enough for one commit to be worth it, and one body of a worker. */
  batchItems: FRAME_LIMITS.frameItems,
  /** The same in bytes: what one frame of a range holds. */
  batchBytes: FRAME_LIMITS.frameBytes,
  /** Ranges asked of one source at a time. */
  parallel: 3,
} as const;

type Agrinetd = Extract<SyncSource, { kind: 'agrinetd' }>;
type Body = { readonly method: 'GET' | 'POST'; readonly body?: Uint8Array };

/** Mycelium over HTTPS: the source's frontier, then the ranges that are lacking here. */
export async function pullFeeds(
  { target, fetch, env }: SyncParts,
  source: Agrinetd,
  force: boolean,
  run: SyncRun,
): Promise<SyncOutcome> {
  let pin = source.tlsFingerprint;
  let bytes = 0;
  let received = 0;
  let receivedPrivate = 0;
  let ignored = 0;
  let newAt = env.monotonic();

  async function ask(
    path: string,
    { method, body }: Body,
    limits: { timeoutMs: number; maxBytes: number },
    headers: Record<string, string> = {},
  ): Promise<GuardedAnswer> {
    run.signal.throwIfAborted();
    const once = async (): Promise<GuardedAnswer> =>
      fetch(`${source.url}${path}`, {
        method,
        headers: { ...headers, [REQUEST_HEADER]: await target.signRequest(source.id, method, path) },
        ...(body === undefined ? {} : { body }),
        ...(pin === '' ? {} : { pin }),
        ...limits,
        idleMs: PULL_LIMITS.idleMs,
        signal: run.signal,
      });
    let answer: GuardedAnswer;
    try {
      answer = await once();
    } catch (error) {
      if (errorCode(error) !== 'certificate-changed') throw error;
      pin = await target.renewCertificate(source.id);
      answer = await once();
    }
    if (answer.status !== 200 && answer.status !== 304) {
      await answer.bytes().catch(() => undefined); // only so that the connection is free again
      throw new AgrinetError('peer-refused', `${source.url} answered with status ${answer.status}`);
    }
    return answer;
  }

  async function pullRange(request: RangeRequest): Promise<void> {
    const encoded = encodeRangeRequest(request);
    const have = base64url(encoded);
    const posted = have.length > REQUEST_LIMITS.haveCharacters;
    const query = new URLSearchParams({ channel: request.channel });
    if (!posted) query.set('have', have);
    const answer = await ask(
      `/federation/feeds/${request.author}?${query.toString()}`,
      posted ? { method: 'POST', body: encoded } : { method: 'GET' },
      { timeoutMs: PULL_LIMITS.rangeMs, maxBytes: PULL_LIMITS.rangeBytes },
      posted ? { 'content-type': 'application/cbor' } : {},
    );
    let batch: RangeItem[] = [];
    let size = 0;
    const flush = async (): Promise<void> => {
      run.signal.throwIfAborted();
      const taken = await target.receive(source.id, request, batch);
      received += taken.accepted;
      if (request.channel !== 'public') receivedPrivate += taken.accepted;
      if (taken.accepted > 0) newAt = env.monotonic();
      else if (env.monotonic() - newAt > PULL_LIMITS.uselessMs)
        throw new AgrinetError('pull-slow', `${source.url} has sent nothing new for a while`);
      ignored += taken.ignored;
      bytes += size;
      batch = [];
      size = 0;
      await run.progress({ received, bytes });
    };
    for await (const item of decodeItems(steady(answer.body, { error: pullSlow, now: env.monotonic }))) {
      const bytes = item.bytes.length + ITEM_HEAD_BYTES;
      if (size + bytes > PULL_LIMITS.batchBytes) await flush();
      batch.push(item);
      size += bytes;
      if (batch.length >= PULL_LIMITS.batchItems || size >= FRAME_LIMITS.gatherBytes) await flush();
    }
    if (batch.length > 0) await flush();
  }

  const answer = await ask(
    '/federation/feeds',
    { method: 'GET' },
    { timeoutMs: PULL_LIMITS.frontierMs, maxBytes: PULL_LIMITS.frontierBytes },
    {
      accept: FRONTIER_SEQUENCE,
      ...(!force && source.etag !== undefined ? { 'if-none-match': source.etag } : {}),
    },
  );
  const nothing = { received: 0, imported: 0, unchanged: 0, refused: 0 };
  if (answer.status === 304) {
    await answer.bytes();
    return source.etag === undefined ? { ...nothing, bytes } : { ...nothing, bytes, etag: source.etag };
  }
  let digest = '';
  async function* pages(): AsyncGenerator<FrontierPage> {
    digest = yield* readFrontierSequence(
      counted(steady(answer.body, { error: pullSlow, now: env.monotonic })),
      env,
    );
  }
  async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  const waiting = [...(await target.plan(source.id, pages()))];
  let failure: unknown;
  // One feed that fails does not keep the others from coming.
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await pullRange(next);
      } catch (error) {
        failure ??= error;
        if (run.signal.aborted || errorCode(error) === 'certificate-foreign') waiting.length = 0;
      }
    }
  };
  await Promise.all(Array.from({ length: PULL_LIMITS.parallel }, worker));
  if (failure !== undefined) throw failure;
  const etag = answer.headers['etag'];
  return {
    ...nothing,
    received,
    ...(receivedPrivate === 0 ? {} : { receivedPrivate }),
    refused: ignored,
    bytes,
    lastHash: digest,
    ...(ignored === 0 && typeof etag === 'string' ? { etag } : {}),
  };
}
