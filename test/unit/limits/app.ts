import { Hono } from 'hono';
import type { ApiEnv, Principal, Scope } from '../../../api/access.ts';
import { errorCode, errorMessage } from '../../../protocols/errors.ts';

/** An app whose refusals answer 400 with their code, to look at one middleware alone. */
export function bareApp(): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.onError((error, c) => c.json({ code: errorCode(error), error: errorMessage(error) }, 400));
  return app;
}

export function principal(id: string, ...scopes: Scope[]): Principal {
  return { id, scopes: new Set(scopes) };
}

/** The code of a refusal, undefined of an answer that is none. */
export async function codeOf(response: Response): Promise<string | undefined> {
  if (response.ok) return undefined;
  return ((await response.json()) as { code?: string }).code;
}

/** What the server of Node hands to the app with a request. */
export function from(remoteAddress: string): object {
  return { incoming: { socket: { remoteAddress } } };
}
