import type { MiddlewareHandler } from 'hono';

/** Who may call: `needsKey` for writes and the operator, `mayRead` for public records. */
export interface Guards {
  readonly needsKey: MiddlewareHandler;
  readonly mayRead: MiddlewareHandler;
}
