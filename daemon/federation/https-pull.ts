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
import { REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import type { GuardedAnswer } from './guarded-fetch.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import { type Question, SourceAsker } from './source-asker.ts';
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

/** Mycelium over HTTPS: the source's frontier, then the ranges that are lacking here. */
export function pullFeeds(
  parts: SyncParts,
  source: Agrinetd,
  force: boolean,
  run: SyncRun,
): Promise<SyncOutcome> {
  return new HttpsPull(parts, source, run).pull(force);
}

class HttpsPull {
  readonly #parts: SyncParts;
  readonly #source: Agrinetd;
  readonly #run: SyncRun;
  readonly #asker: SourceAsker;
  #bytes = 0;
  #received = 0;
  #receivedPrivate = 0;
  #ignored = 0;
  /** When something came that was new here. */
  #newAt: number;
  /** Total digest that the source has shown, hex. */
  #digest = '';

  constructor(parts: SyncParts, source: Agrinetd, run: SyncRun) {
    this.#parts = parts;
    this.#source = source;
    this.#run = run;
    this.#asker = new SourceAsker(parts, source, run.signal);
    this.#newAt = parts.env.monotonic();
  }

  async pull(force: boolean): Promise<SyncOutcome> {
    const { id, etag } = this.#source;
    const nothing = { received: 0, imported: 0, unchanged: 0, refused: 0 };
    const answer = await this.#asker.ask({
      path: '/federation/feeds',
      timeoutMs: PULL_LIMITS.frontierMs,
      idleMs: PULL_LIMITS.idleMs,
      maxBytes: PULL_LIMITS.frontierBytes,
      headers: {
        accept: FRONTIER_SEQUENCE,
        ...(!force && etag !== undefined ? { 'if-none-match': etag } : {}),
      },
    });
    if (answer.status === 304) {
      await answer.bytes();
      return { ...nothing, bytes: this.#bytes, ...(etag === undefined ? {} : { etag }) };
    }
    await this.#pullRanges(await this.#parts.target.plan(id, this.#pages(answer)));
    const shown = answer.headers['etag'];
    return {
      ...nothing,
      received: this.#received,
      ...(this.#receivedPrivate === 0 ? {} : { receivedPrivate: this.#receivedPrivate }),
      refused: this.#ignored,
      bytes: this.#bytes,
      lastHash: this.#digest,
      ...(this.#ignored === 0 && typeof shown === 'string' ? { etag: shown } : {}),
    };
  }

  async *#pages(answer: GuardedAnswer): AsyncGenerator<FrontierPage> {
    const { env } = this.#parts;
    const body = this.#counted(steady(answer.body, { error: pullSlow, now: env.monotonic }));
    this.#digest = yield* readFrontierSequence(body, env);
  }

  async *#counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  /** Some at a time. One feed that fails does not keep the others from coming; the first failure is thrown in the end. */
  async #pullRanges(requests: readonly RangeRequest[]): Promise<void> {
    const waiting = [...requests];
    let failure: unknown;
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        try {
          await this.#pullRange(next);
        } catch (error) {
          failure ??= error;
          if (this.#run.signal.aborted || errorCode(error) === 'certificate-foreign') waiting.length = 0;
        }
      }
    };
    await Promise.all(Array.from({ length: PULL_LIMITS.parallel }, worker));
    if (failure !== undefined) throw failure;
  }

  async #pullRange(request: RangeRequest): Promise<void> {
    const answer = await this.#asker.ask(questionFor(request));
    const body = steady(answer.body, { error: pullSlow, now: this.#parts.env.monotonic });
    let batch: RangeItem[] = [];
    let size = 0;
    const flush = async (): Promise<void> => {
      await this.#takeIn(request, batch, size);
      batch = [];
      size = 0;
    };
    for await (const item of decodeItems(body)) {
      const bytes = item.bytes.length + ITEM_HEAD_BYTES;
      if (size + bytes > PULL_LIMITS.batchBytes) await flush();
      batch.push(item);
      size += bytes;
      if (batch.length >= PULL_LIMITS.batchItems || size >= FRAME_LIMITS.gatherBytes) await flush();
    }
    if (batch.length > 0) await flush();
  }

  async #takeIn(request: RangeRequest, batch: readonly RangeItem[], size: number): Promise<void> {
    const { target, env } = this.#parts;
    const { id, url } = this.#source;
    this.#run.signal.throwIfAborted();
    const taken = await target.receive(id, request, batch);
    this.#received += taken.accepted;
    if (request.channel !== 'public') this.#receivedPrivate += taken.accepted;
    if (taken.accepted > 0) this.#newAt = env.monotonic();
    else if (env.monotonic() - this.#newAt > PULL_LIMITS.uselessMs)
      throw new AgrinetError('pull-slow', `${url} has sent nothing new for a while`);
    this.#ignored += taken.ignored;
    this.#bytes += size;
    await this.#run.progress({ received: this.#received, bytes: this.#bytes });
  }
}

/** A request too long for a query is posted. */
function questionFor(request: RangeRequest): Question {
  const encoded = encodeRangeRequest(request);
  const have = base64url(encoded);
  const posted = have.length > REQUEST_LIMITS.haveCharacters;
  const query = new URLSearchParams({ channel: request.channel });
  if (!posted) query.set('have', have);
  return {
    path: `/federation/feeds/${request.author}?${query.toString()}`,
    ...(posted ? { body: encoded } : {}),
    headers: posted ? { 'content-type': 'application/cbor' } : {},
    timeoutMs: PULL_LIMITS.rangeMs,
    idleMs: PULL_LIMITS.idleMs,
    maxBytes: PULL_LIMITS.rangeBytes,
  };
}
