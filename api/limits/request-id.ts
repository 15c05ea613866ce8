import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import type { ApiEnv } from '../access.ts';

/** What a caller may choose: nothing that could break a log line or a header. */
const GIVEN = /^[A-Za-z0-9._-]{1,64}$/;
const HEADER = 'x-request-id';

/** Names every request, with the caller's `x-request-id` if that is a plain word; the answer and the log carry it. */
export const requestId = createMiddleware<ApiEnv>(async (c, next) => {
  const given = c.req.header(HEADER);
  const id = given !== undefined && GIVEN.test(given) ? given : randomUUID();
  c.set('requestId', id);
  c.header(HEADER, id);
  await next();
  // A handler that answers with a Response of its own has not taken the header over.
  if (!c.res.headers.has(HEADER)) c.header(HEADER, id);
});
