import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { allowOthers, type Env, type Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ApiEnv } from '../access.ts';
import { excessOf } from '../../protocols/wire/json-depth.ts';

export interface BodyLimits {
  /** The largest body that is read as a whole, in bytes: a listing with long texts is far smaller. */
  readonly maxBytes: number;
  /** Messages alone may be as large as this, in bytes: old clients send a file inside, in base64. */
  readonly messageBytes: number;
  /** How deeply arrays and objects may be nested: nothing here needs more, and the code that walks them is recursive. */
  readonly maxDepth: number;
  /** Values in one JSON body: none of ours has a tenth of it, and parsing and checking cost by their number, not by their bytes. */
  readonly maxValues: number;
  /** How long the whole body may take to arrive, in milliseconds. A streamed body has the server's idle limit instead. */
  readonly timeoutMs: number;
}

export const BODY_LIMITS: BodyLimits = {
  maxBytes: 256 * 1024,
  messageBytes: 1536 * 1024,
  maxDepth: 32,
  maxValues: 10_000,
  timeoutMs: 30_000,
};

const MESSAGES = /^\/messages\/[^/]+\/?$/;

/**
 * Bounds every body that a route reads as JSON or text, when it reads it: a caller whom the route's guard refuses sends in vain. Routes
 * that stream (`c.req.raw.body`) count for themselves. Throws `body-too-large`, `body-too-deep`, `body-slow`, `body-malformed`.
 */
export function bodyLimits(env: Pick<Env, 'after'>, limits: BodyLimits = BODY_LIMITS) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next();
    let text: Promise<string> | undefined;
    let failed: unknown;
    const read = (): Promise<string> => {
      const { maxBytes, messageBytes } = limits;
      const bytes = MESSAGES.test(c.req.path) ? messageBytes : maxBytes;
      text ??= readText(c, env, { ...limits, maxBytes: bytes }).catch((error: unknown) => {
        failed = error;
        throw error;
      });
      return text;
    };
    // Not enumerable: hono would otherwise take this for a body that has been read, when one is read as bytes.
    Object.defineProperty(c.req.bodyCache, 'text', { get: read, configurable: true });
    await next();
    // hono's validator reports "malformed" for any error in reading; the actual error is known here.
    if (failed instanceof AgrinetError) throw failed;
  });
}

async function readText(c: Context, env: Pick<Env, 'after'>, limits: BodyLimits): Promise<string> {
  const { maxBytes, maxDepth, maxValues, timeoutMs } = limits;
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = allowOthers(env, timeoutMs, () => {
      c.header('connection', 'close');
      reject(
        new AgrinetError('body-slow', `the body has not arrived within ${timeoutMs / 1000} s; send it again`),
      );
    });
  });
  try {
    const text = await Promise.race([whole(c, maxBytes), late]);
    const excess = excessOf(text, { depth: maxDepth, values: maxValues });
    if (excess === 'depth')
      throw new AgrinetError('body-too-deep', `the body is nested more than ${maxDepth} levels deep`);
    if (excess === 'values')
      throw new AgrinetError('body-too-large', `the body has more than ${maxValues} values`);
    return text;
  } finally {
    timer?.cancel();
  }
}

/** A body of known length cannot be longer, the HTTP parser sees to it; any other is counted while it comes. */
async function whole(c: Context, maxBytes: number): Promise<string> {
  const length = c.req.header('content-length');
  if (length !== undefined && c.req.header('transfer-encoding') === undefined) {
    if (Number(length) > maxBytes) throw tooLarge(maxBytes);
    return textOf(await c.req.raw.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return textOf(Buffer.concat(chunks));
}

/** Throws `body-malformed`: a body in another encoding would be kept, and signed, with its letters lost. */
function textOf(bytes: ArrayBuffer | Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AgrinetError('body-malformed', 'the body is not UTF-8; send it as UTF-8', { cause });
  }
}

function tooLarge(maxBytes: number): AgrinetError {
  return new AgrinetError('body-too-large', `the body is larger than ${Math.floor(maxBytes / 1024)} KiB`);
}
