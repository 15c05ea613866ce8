import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { ApiEnv } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { callerAddress, isLoopback } from '../limits/address.ts';
import type { Session } from '../ports/sessions.ts';

type Of = Pick<ApiContext, 'self' | 'limits'>;

/** Seconds that a browser keeps the cookie; the node ends the session earlier. */
const KEPT_S = 30 * 24 * 3600;

/**
 * Whether nobody between the browser and this node can read the request: TLS ends here, or at a trusted proxy on this machine that says
 * so, or neither end has left the machine.
 */
export function isPrivate(c: Context<ApiEnv>, { limits }: Pick<Of, 'limits'>): boolean {
  return isHttps(c, limits.trustProxy) || isLocal(c, limits.trustProxy);
}

function isHttps(c: Context<ApiEnv>, trustProxy: boolean): boolean {
  const socket = socketOf(c);
  if (socket === undefined) return new URL(c.req.url).protocol === 'https:';
  if (socket.encrypted === true) return true;
  if (!trustProxy || !isLoopback(socket.remoteAddress ?? '')) return false;
  return c.req.header('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase() === 'https';
}

/** A request that a proxy has forwarded is not from this machine, unless the proxy is trusted and says so. */
function isLocal(c: Context<ApiEnv>, trustProxy: boolean): boolean {
  if (socketOf(c) === undefined) return true;
  const forwarded = c.req.header('x-forwarded-for') ?? c.req.header('forwarded');
  if (forwarded !== undefined && !trustProxy) return false;
  return isLoopback(callerAddress(c, trustProxy) ?? '');
}

interface Socket {
  readonly encrypted?: boolean;
  readonly remoteAddress?: string;
}

/** Undefined for `app.request()`. */
function socketOf(c: Context<ApiEnv>): Socket | undefined {
  const bindings = c.env as { readonly incoming?: { readonly socket: Socket } } | undefined; // what @hono/node-server binds
  return bindings?.incoming?.socket;
}

/**
 * Named after the node: browsers send a cookie to every port of a host, and two nodes on one machine must not sign each other out. Over
 * HTTPS it carries `__Host-`, so that no other host of the domain can set it.
 */
function nameOf({ self }: Pick<Of, 'self'>): string {
  return `agrinet-${self.slice(-8)}`;
}

/** The session that the cookie of a request names. */
export async function sessionOf(
  c: Context<ApiEnv>,
  node: Of & Pick<ApiContext, 'sessions'>,
): Promise<Session | undefined> {
  const token = isHttps(c, node.limits.trustProxy)
    ? getCookie(c, nameOf(node), 'host')
    : getCookie(c, nameOf(node));
  if (token === undefined || !isPrivate(c, node)) return undefined;
  return (await node.sessions()).find(token);
}

export function setSession(c: Context<ApiEnv>, node: Of, token: string): void {
  const common = { httpOnly: true, sameSite: 'Lax', path: '/', maxAge: KEPT_S } as const;
  if (isHttps(c, node.limits.trustProxy))
    setCookie(c, nameOf(node), token, { ...common, secure: true, prefix: 'host' });
  else setCookie(c, nameOf(node), token, common);
}

export function clearSession(c: Context<ApiEnv>, node: Of): void {
  if (isHttps(c, node.limits.trustProxy))
    deleteCookie(c, nameOf(node), { path: '/', secure: true, prefix: 'host' });
  else deleteCookie(c, nameOf(node), { path: '/' });
}
