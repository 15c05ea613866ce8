import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { TlsCertificate } from './federation/tls-certificate.ts';
import { createHttpServer, type HttpServerOptions } from './http-server.ts';
import type { Settings } from './settings.ts';

/** Where the API listens: nowhere, an empty text, before the server has started. */
export interface Listening {
  url: string;
}

export interface HttpServer {
  readonly url: string;
  stop(): Promise<void>;
}

export interface ServeOptions {
  readonly settings: Pick<Settings, 'host' | 'port'>;
  readonly app: Pick<HttpServerOptions, 'fetch'>;
  readonly tls: Pick<TlsCertificate, 'keys' | 'onChange'>;
  readonly env: Pick<Env, 'monotonic' | 'after'>;
}

/** Requests under way may take this long after a stop was asked for. */
const DRAIN_MS = 2000;

/** Serves an app on HOST and PORT. Throws `port-busy`. */
export async function serve({ settings, app, tls, env }: ServeOptions): Promise<HttpServer> {
  const pair = tls.keys();
  const { server, renew } = createHttpServer({ fetch: app.fetch, tls: pair, env });
  tls.onChange(renew);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(startError(error, settings)));
    server.listen(settings.port, settings.host, resolve);
  });
  const address = server.address() as AddressInfo; // it listens on TCP
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return {
    url: `${pair === undefined ? 'http' : 'https'}://${host}:${address.port}`,
    stop: () => drain(server, env),
  };
}

/** Resolves when everything in progress is done, or cut off. */
function drain(server: Server, env: Pick<Env, 'after'>): Promise<void> {
  return new Promise((resolve) => {
    const late = env.after(DRAIN_MS, () => server.closeAllConnections(), { holds: true });
    server.close(() => {
      late.cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}

function startError(error: NodeJS.ErrnoException, settings: Pick<Settings, 'host' | 'port'>): Error {
  if (error.code !== 'EADDRINUSE') return error;
  return new AgrinetError(
    'port-busy',
    `port ${settings.port} of ${settings.host} is in use; stop the other process or set PORT`,
  );
}
