import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ApiEnv } from '../access.ts';
import type { IdempotencyTable, StoredAnswer } from '../ports/idempotency.ts';

export interface IdempotencyOptions {
  readonly table: IdempotencyTable;
  /** Paths whose responses contain a secret that is shown once: repetitions are told that it was done, without it. */
  readonly secretPaths: RegExp;
  /** Paths whose routes read a JSON body as a stream: it is not held here to be compared. */
  readonly streamedPaths?: RegExp;
}

const KEY = /^[\x21-\x7e]{1,128}$/;
/** A larger response is not stored: a repetition is then told that the request was carried out. */
const MAX_ANSWER_BYTES = 64 * 1024;
const KEPT_HEADERS = ['content-type', 'location', 'etag'] as const;
/** Refused before the route did anything, or for now only, as what names a record that has not arrived yet: nothing to remember. */
const NOT_KEPT: ReadonlySet<number> = new Set([401, 403, 404, 408, 409, 413, 415, 425, 429]);

type Env = { Variables: ApiEnv['Variables'] & { idempotentId?: string } };

/**
 * `Idempotency-Key` on POST: the same caller, route, key and body get the first answer again, marked `idempotent-replayed: true`, for 24 hours.
 * Callers without credentials have no name to keep it under; their header is ignored. Throws `idempotency-malformed`,
 * `idempotency-mismatch`, `idempotency-busy`, `idempotency-done`.
 */
export function idempotency({ table, secretPaths, streamedPaths }: IdempotencyOptions) {
  return createMiddleware<Env>(async (c, next) => {
    const key = c.req.method === 'POST' ? c.req.header('idempotency-key') : undefined;
    const caller = c.get('principal').id;
    // A body that is streamed is not held here to be compared; those routes write the same row twice without harm.
    const read = streamed(c) || streamedPaths?.test(c.req.path) === true;
    if (key === undefined || caller === 'anonymous' || read) return next();
    if (!KEY.test(key))
      throw new AgrinetError(
        'idempotency-malformed',
        'Idempotency-Key: must be 1 to 128 visible ASCII characters',
      );
    // A query names what the request is about as much as the path does.
    const route = c.req.path + (URL.parse(c.req.url)?.search ?? '');
    const id = `${hash(caller).slice(0, 16)}.${hash(JSON.stringify([caller, route, key]))}`;
    const bodyHash = hash(await c.req.text());
    const claim = await table.begin(id, bodyHash);
    if (claim.kind !== 'begun') return again(c, claim);
    c.set('idempotentId', hash(id + bodyHash).slice(0, 22));
    let answer: StoredAnswer | undefined;
    let forget = false;
    try {
      await next();
      forget = NOT_KEPT.has(c.res.status);
      if (!forget && c.res.status < 500) answer = await answerOf(c, secretPaths);
    } finally {
      await (answer === undefined ? table.release(id, forget) : table.finish(id, answer));
    }
  });
}

/** Says of an answer that it is the one of an earlier request. */
export const REPLAYED = 'idempotent-replayed';

/**
 * The local id for what this request creates, when it names an Idempotency-Key: the same for its repetitions, so that one after a crash
 * meets the record that is there. 22 characters of base64url (128 bits of a hash of caller, route, key and body).
 */
export function idempotentId(c: Context): string | undefined {
  const id: unknown = c.get('idempotentId');
  return typeof id === 'string' ? id : undefined;
}

function again(
  c: Context,
  claim: Exclude<Awaited<ReturnType<IdempotencyTable['begin']>>, { kind: 'begun' }>,
) {
  switch (claim.kind) {
    case 'busy':
      c.header('retry-after', '1');
      throw new AgrinetError(
        'idempotency-busy',
        'a request with this Idempotency-Key is still being processed; try again in a moment',
      );
    case 'mismatch':
      throw new AgrinetError(
        'idempotency-mismatch',
        'this Idempotency-Key was used with a different request; use a new key for a new request',
      );
    case 'answered': {
      const { status, headers, body } = claim.answer;
      if (body === undefined)
        throw new AgrinetError(
          'idempotency-done',
          `this request was already processed and answered with ${status}; that response is not shown again`,
        );
      for (const [name, value] of Object.entries(headers)) c.header(name, value);
      c.header(REPLAYED, 'true');
      return body === '' ? c.body(null, status as 204) : c.body(body, status as ContentfulStatusCode);
    }
  }
}

async function answerOf(c: Context, secretPaths: RegExp): Promise<StoredAnswer> {
  const { status, headers } = c.res;
  const kept = Object.fromEntries(
    KEPT_HEADERS.flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
  if (status < 300 && secretPaths.test(c.req.path)) return { status, headers: kept };
  const body = await c.res.clone().text();
  return Buffer.byteLength(body) > MAX_ANSWER_BYTES
    ? { status, headers: kept }
    : { status, headers: kept, body };
}

function streamed(c: Context): boolean {
  const type = c.req.header('content-type');
  if (type === undefined) return false;
  return !/^application\/([\w.-]+\+)?json\b/i.test(type) || type.includes('ndjson');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
