import type { AskedSource, SignedRequest, SyncTarget } from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import type { FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import {
  FRONTIER_SEQUENCE,
  FRONTIER_SEQUENCE_LIMITS,
  readFrontierSequence,
} from '../../protocols/mycelium/frontier-sequence.ts';
import { decodeItems } from '../../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { ITEM_HEAD_BYTES, type RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { FeedTransport } from '../../protocols/mycelium/transport.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import type { GuardedAnswer, GuardedFetch } from './guarded-fetch.ts';
import { SourceAsker } from './source-asker.ts';

export const PULL_LIMITS = {
  /** A whole frontier, in pages. */
  frontierBytes: FRONTIER_SEQUENCE_LIMITS.sequenceBytes,
  /** The whole answer. */
  frontierMs: 30_000,
  /** One range: a hundred thousand entries; the rest comes with the next sync. */
  rangeBytes: 1024 * 1024 * 1024,
  /** The whole answer. */
  rangeMs: 10 * 60_000,
  /** How long a sync may go on without an entry that is new here; then it makes way for others. */
  uselessMs: 60_000,
  /** How long a source may be silent before the request is ended. */
  idleMs: 15_000,
  /** Entries per batch: enough to make a commit worthwhile, and the body of one request of a worker. */
  batchItems: FRAME_LIMITS.frameItems,
  /** The same in bytes: the size of one frame of a range. */
  batchBytes: FRAME_LIMITS.frameBytes,
} as const;

export interface HttpsTransportParts {
  readonly target: Pick<SyncTarget, 'renewCertificate'>;
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly fetch: GuardedFetch;
}

/** The feeds of a source at its URL: `GET /federation/feeds` and the paths below it. */
export class HttpsTransport implements FeedTransport<SignedRequest> {
  readonly #env: HttpsTransportParts['env'];
  readonly #source: Extract<AskedSource, { kind: 'agrinetd' }>;
  readonly #asker: SourceAsker;
  readonly #etag: string | undefined;
  #bytes = 0;
  #shownEtag: string | undefined;
  #isUnchanged = false;

  /** `etag`: of the frontier that is known. The source shows nothing then, when that is still the one. */
  constructor(
    parts: HttpsTransportParts,
    source: Extract<AskedSource, { kind: 'agrinetd' }>,
    etag: string | undefined,
  ) {
    this.#env = parts.env;
    this.#source = source;
    this.#asker = new SourceAsker(parts, source);
    this.#etag = etag;
  }

  /** Of all answers so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The ETag of the frontier that the source shows. */
  get shownEtag(): string | undefined {
    return this.#shownEtag;
  }

  /** The source shows no page: its frontier is the one that was known. */
  get isUnchanged(): boolean {
    return this.#isUnchanged;
  }

  async *frontier(signal: AbortSignal): AsyncGenerator<FrontierPage, string> {
    const answer = await this.#asker.ask(this.#source.request, {
      timeoutMs: PULL_LIMITS.frontierMs,
      idleMs: PULL_LIMITS.idleMs,
      maxBytes: PULL_LIMITS.frontierBytes,
      headers: {
        accept: FRONTIER_SEQUENCE,
        ...(this.#etag === undefined ? {} : { 'if-none-match': this.#etag }),
      },
      signal,
    });
    if (answer.status === 304) {
      await answer.bytes();
      this.#isUnchanged = true;
      this.#shownEtag = this.#etag;
      return '';
    }
    const etag = answer.headers['etag'];
    if (typeof etag === 'string') this.#shownEtag = etag;
    return yield* readFrontierSequence(this.#body(answer), this.#env);
  }

  async *range(request: SignedRequest, signal: AbortSignal): AsyncGenerator<readonly RangeItem[]> {
    const answer = await this.#asker.ask(request, {
      timeoutMs: PULL_LIMITS.rangeMs,
      idleMs: PULL_LIMITS.idleMs,
      maxBytes: PULL_LIMITS.rangeBytes,
      headers: request.body === undefined ? {} : { 'content-type': 'application/cbor' },
      signal,
    });
    let batch: RangeItem[] = [];
    let size = 0;
    for await (const item of decodeItems(this.#body(answer))) {
      const bytes = item.bytes.length + ITEM_HEAD_BYTES;
      if (size + bytes > PULL_LIMITS.batchBytes) {
        yield batch;
        [batch, size] = [[], 0];
      }
      batch.push(item);
      size += bytes;
      if (batch.length < PULL_LIMITS.batchItems && size < FRAME_LIMITS.gatherBytes) continue;
      yield batch;
      [batch, size] = [[], 0];
    }
    if (batch.length > 0) yield batch;
  }

  async *#body({ body }: GuardedAnswer): AsyncGenerator<Uint8Array> {
    for await (const chunk of steady(body, { error: pullSlow, env: this.#env })) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }
}
