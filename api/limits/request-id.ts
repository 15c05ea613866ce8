import { createMiddleware } from 'hono/factory';
import type { Env } from '../../protocols/env.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import type { ApiEnv } from '../access.ts';

/** What a caller may choose: nothing that could break a log line or a header. */
const GIVEN = /^[A-Za-z0-9._-]{1,64}$/;
const HEADER = 'x-request-id';

/** Names every request, with the caller's `x-request-id` if that is a plain word; the answer and the log carry it. */
export function requestId({ bytes }: Pick<Env, 'bytes'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const given = c.req.header(HEADER);
    const id = given !== undefined && GIVEN.test(given) ? given : uuid(bytes(16));
    c.set('requestId', id);
    c.header(HEADER, id);
    await next();
    // A handler that answers with a Response of its own has not taken the header over.
    if (!c.res.headers.has(HEADER)) c.header(HEADER, id);
  });
}

/** A UUID of version 4 (RFC 9562) of 16 random bytes. */
function uuid(random: Uint8Array): string {
  const text = hex(random);
  const variant = '89ab'.charAt((random[8] ?? 0) & 3);
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-${variant}${text.slice(17, 20)}-${text.slice(20)}`;
}
