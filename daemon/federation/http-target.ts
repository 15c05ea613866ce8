import { z } from 'zod';
import { byteStream } from '../../api/byte-stream.ts';
import type {
  AskedSource,
  ImportTotals,
  SignedRequest,
  SyncOutcome,
  SyncTarget,
} from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FeedName } from '../../protocols/ledger/types.ts';
import { encodePage, type FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import { FRONTIER_SEQUENCE, sequenceItem } from '../../protocols/mycelium/frontier-sequence.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import type { NextRange } from '../../protocols/mycelium/range.ts';
import { encodeItem, type RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import { concat, fromBase64url } from '../../protocols/wire/bytes.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { type Channel, isChannel } from '../../protocols/wire/ids.ts';
import { parsedJson } from '../../protocols/wire/json.ts';

/** One answer of the daemon; an import of a whole export takes longest. */
const ANSWER_MS = 5 * 60_000;

const peerId = z.string().transform((text, context): PeerId => {
  const id = parsePeerId(text);
  if (id !== undefined) return id;
  context.addIssue({ code: 'custom', message: 'not a peer id' });
  return z.NEVER;
});
const channel = z.custom<Channel>((value) => isChannel(value));
const requestAnswer = z
  .object({
    method: z.enum(['GET', 'POST']),
    path: z.string(),
    header: z.string(),
    body: z.string().optional(),
  })
  .transform(({ body, ...request }): SignedRequest => {
    const bytes = body === undefined ? undefined : fromBase64url(body);
    return bytes === undefined ? request : { ...request, body: bytes };
  });
const sourceAnswer = z.object({
  source: z
    .discriminatedUnion('kind', [
      z.object({
        kind: z.literal('agrinetd'),
        id: peerId,
        url: z.string(),
        tlsFingerprint: z.string(),
        etag: z.string().optional(),
      }),
      z.object({
        kind: z.literal('legacy'),
        id: z.templateLiteral(['legacy:', z.string()]),
        url: z.string(),
        etag: z.string().optional(),
        key: z.string().optional(),
      }),
    ])
    .nullable(),
  request: requestAnswer.optional(),
});
const planAnswer = z.object({ feeds: z.array(z.object({ author: peerId, channel })) });
const rangeAnswer = z.object({ request: requestAnswer, next: z.string().optional() });
const count = z.number();
const takenAnswer = z.object({ accepted: count, known: count, ignored: count });
const totalsAnswer = z.object({ imported: count, unchanged: count, refusedCount: count });
const certificateAnswer = z.object({ tlsFingerprint: z.string() });
const refusal = z.object({ code: z.string().optional(), error: z.string().optional() });

/**
 * The daemon behind its API as the target of a sync, for workers in other processes; the key needs the scope `worker`. Throws what
 * the daemon refuses with, and `daemon-unreachable`.
 */
export class HttpTarget implements SyncTarget {
  readonly #base: string;
  readonly #key: string;
  readonly #env: Pick<Env, 'deadline'>;

  constructor(baseUrl: string, key: string, env: Pick<Env, 'deadline'>) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#key = key;
    this.#env = env;
  }

  async source(id: string): Promise<AskedSource | undefined> {
    const { source, request } = await this.#post(sourceAnswer, 'plan', { source: id, frontier: 'true' });
    if (source === null) return undefined;
    if (source.kind === 'legacy') return source;
    if (request === undefined) throw otherVersion();
    return { ...source, request };
  }

  async plan(id: string, pages: AsyncIterable<FrontierPage>): Promise<readonly FeedName[]> {
    const body = { type: FRONTIER_SEQUENCE, content: byteStream(sequenceOf(pages)) };
    return (await this.#post(planAnswer, 'plan', { source: id }, body)).feeds;
  }

  async rangeRequest(id: string, feed: FeedName, from?: string): Promise<NextRange<SignedRequest>> {
    const query = { source: id, ...feed, ...(from === undefined ? {} : { from }) };
    const { request, next } = await this.#post(rangeAnswer, 'plan', query);
    return { request, next };
  }

  async receive(id: string, feed: FeedName, items: readonly RangeItem[]): Promise<TakenItems> {
    const body = { type: ITEM_SEQUENCE, content: Buffer.from(concat(items.map(encodeItem))) };
    const taken = await this.#post(takenAnswer, 'entries', { source: id, ...feed }, body);
    return { ...taken, reasons: {} };
  }

  async importLegacy(
    ...[id, export_, { force, signal }]: Parameters<SyncTarget['importLegacy']>
  ): Promise<ImportTotals> {
    const body = { type: 'application/json', content: byteStream(bytesOf(export_)) };
    const query = { source: id, force: String(force) };
    const totals = await this.#post(totalsAnswer, 'import', query, body, signal);
    return { ...totals, refused: [] };
  }

  async renewCertificate(id: string): Promise<string> {
    const told = json({ source: id, certificate: 'changed' });
    return (await this.#post(certificateAnswer, 'synced', {}, told)).tlsFingerprint;
  }

  async noteSync(id: string, { error, ...counts }: SyncOutcome): Promise<void> {
    const outcome = error === undefined ? counts : { ...counts, error: { code: error.code } };
    await this.#post(z.unknown(), 'synced', {}, json({ source: id, outcome }));
  }

  async #post<T>(
    schema: z.ZodType<T, unknown>,
    name: string,
    query: Record<string, string>,
    body?: Body,
    signal?: AbortSignal,
  ): Promise<T> {
    const late = this.#env.deadline(ANSWER_MS);
    const path = `${this.#base}/federation/${name}?${new URLSearchParams(query).toString()}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(path, {
        method: 'POST',
        headers: {
          'x-api-key': this.#key,
          ...(body === undefined ? {} : { 'content-type': body.type }),
        },
        ...(body === undefined ? {} : { body: body.content, duplex: 'half' }),
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      });
      text = await response.text();
    } catch (error) {
      throw new AgrinetError('daemon-unreachable', `no answer from the daemon at ${this.#base}`, {
        cause: error,
      });
    }
    if (!response.ok) throw refused(response.status, parsedJson(text));
    const answer = schema.safeParse(parsedJson(text));
    if (!answer.success) throw otherVersion();
    return answer.data;
  }
}

interface Body {
  readonly type: string;
  readonly content: string | Buffer<ArrayBuffer> | ReadableStream<Uint8Array>;
}

function json(value: unknown): Body {
  return { type: 'application/json', content: JSON.stringify(value) };
}

function otherVersion(): AgrinetError {
  return new AgrinetError(
    'daemon-refused',
    'the daemon sent an unexpected response; check that daemon and worker have the same version',
  );
}

function refused(status: number, answer: unknown): AgrinetError {
  const { code, error } = refusal.safeParse(answer).data ?? {};
  return new AgrinetError(
    code !== undefined && isErrorCode(code) ? code : 'daemon-refused',
    error ?? `the daemon answered with status ${status}`,
  );
}

/** Pages are forwarded as they arrive; the planner does not need the digest at the end. */
async function* sequenceOf(pages: AsyncIterable<FrontierPage>): AsyncGenerator<Uint8Array> {
  for await (const { groups, knows } of pages) yield sequenceItem(encodePage(groups, knows));
  yield sequenceItem(new Uint8Array(32));
}

async function* bytesOf(body: { read(): AsyncIterable<Uint8Array> }): AsyncGenerator<Uint8Array> {
  yield* body.read();
}
