import { isIP } from 'node:net';
import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ApiEnv } from '../access.ts';

export interface HostCheckOptions {
  /** Whether the API listens on a loopback address only. */
  readonly loopback: boolean;
  readonly publicUrl?: string | undefined;
  readonly corsOrigins: readonly string[];
}

/** Load balancers and containers ask these by whatever name or address they have; they say no more than that the node runs. */
const PROBES: ReadonlySet<string> = new Set(['/health', '/ready']);
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * A page in the operator's browser can point its own name at 127.0.0.1 (DNS rebinding): a node on loopback answers only to loopback
 * names and to PUBLIC_URL's, but for health checks. Writes from pages of other origins are refused everywhere, whatever CORS would say afterwards.
 * Throws `host-refused` and `origin-refused`.
 */
export function hostCheck({ loopback, publicUrl, corsOrigins }: HostCheckOptions) {
  const own = URL.parse(publicUrl ?? '') ?? undefined;
  const origins = new Set(corsOrigins.map((each) => URL.parse(each)?.origin));
  if (own !== undefined) origins.add(own.origin);
  /** Host headers found good before: nearly always the same one or two. */
  let lastGood: string | undefined;

  function checkHost(host: string): void {
    if (host === lastGood) return;
    const name = URL.parse(`http://${host}`)?.hostname;
    if (name === undefined || !(isLoopbackName(name) || name === own?.hostname))
      throw new AgrinetError(
        'host-refused',
        'this node listens on loopback and answers requests for localhost only; to reach it by another name, set PUBLIC_URL',
      );
    lastGood = host;
  }

  return createMiddleware<ApiEnv>(async (c, next) => {
    const host = c.req.header('host');
    const isProbe = PROBES.has(c.req.path) && READS.has(c.req.method);
    if (loopback && host !== undefined && !isProbe) checkHost(host);
    const origin = c.req.header('origin');
    if (origin !== undefined && !READS.has(c.req.method)) {
      const from = URL.parse(origin);
      const same = from !== null && host !== undefined && from.host === hostOf(host, from.protocol);
      if (!same && !(from !== null && origins.has(from.origin)))
        throw new AgrinetError(
          'origin-refused',
          'pages of this origin may not write to this node; the operator can allow the origin in CORS_ORIGINS',
        );
    }
    await next();
  });
}

/** Host and port as a URL shows them: without the scheme's own port. */
function hostOf(header: string, protocol: string): string | undefined {
  return URL.parse(`${protocol}//${header}`)?.host;
}

function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || name === '[::1]') return true;
  return isIP(name) === 4 && name.startsWith('127.');
}
