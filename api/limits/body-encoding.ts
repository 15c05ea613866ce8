import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { createMiddleware } from 'hono/factory';
import { AgrinetError, systemCode } from '../../protocols/errors.ts';
import type { ApiEnv } from '../access.ts';
import { byteStream } from '../byte-stream.ts';

export interface InflateLimits {
  /** Bytes that any compressed body may become. */
  readonly freeBytes: number;
  /** Beyond them, how many times its size it may become: price rows reach 30, what was made to exhaust us 1,000. */
  readonly ratio: number;
}

export const INFLATE_LIMITS: InflateLimits = { freeBytes: 1024 * 1024, ratio: 100 };

/**
 * Decompresses bodies with `content-encoding: gzip`, piece by piece as the route reads them: every limit of the route applies to the
 * result. Any other encoding is `media-unsupported` (415), whatever the route; a body that is not gzip is `body-malformed`, one that
 * grows beyond its limit `body-too-large`.
 */
export function bodyEncoding() {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const encoding = c.req.header('content-encoding')?.trim().toLowerCase() ?? '';
    // The body is not touched before it has to be: one that was asked for and never read ends the connection behind its answer.
    if (encoding === '' || encoding === 'identity') return next();
    const { body } = c.req.raw;
    if (body === null) return next();
    if (encoding !== 'gzip' && encoding !== 'x-gzip')
      throw new AgrinetError(
        'media-unsupported',
        'unsupported content-encoding; send the body uncompressed, or with content-encoding: gzip',
      );
    const headers = new Headers(c.req.raw.headers);
    headers.delete('content-encoding');
    headers.delete('content-length'); // of the compressed bytes
    // `duplex` is demanded for a streamed body, and missing in the types.
    const init: RequestInit & { duplex: 'half' } = {
      headers,
      body: byteStream(inflate(body, INFLATE_LIMITS)),
      duplex: 'half',
    };
    c.req.raw = new Request(c.req.raw, init);
    return next();
  });
}

/** The plain bytes of a gzip stream. Throws `body-malformed`, `body-too-large`. */
export async function* inflate(
  body: AsyncIterable<Uint8Array>,
  { freeBytes, ratio }: InflateLimits,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let taken = 0;
  let given = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      taken += chunk.byteLength;
      yield chunk;
    }
  };
  const source = Readable.from(counted(), { objectMode: false });
  const plain = createGunzip();
  source.once('error', (error) => plain.destroy(error));
  source.pipe(plain);
  try {
    for await (const chunk of plain as AsyncIterable<Buffer<ArrayBuffer>>) {
      given += chunk.byteLength;
      if (given > Math.max(freeBytes, taken * ratio))
        throw new AgrinetError('body-too-large', 'the body is too large when decompressed');
      yield chunk;
    }
  } catch (error) {
    throw isBadGzip(error) ? new AgrinetError('body-malformed', 'the body is not gzip') : error;
  } finally {
    source.destroy();
    plain.destroy();
  }
}

function isBadGzip(error: unknown): boolean {
  return systemCode(error).startsWith('Z_');
}
