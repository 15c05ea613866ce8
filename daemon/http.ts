import type { AddressInfo } from 'node:net';
import { createApp } from '../api/app.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { TlsCertificate } from './federation/tls-certificate.ts';
import { createHttpServer } from './http-server.ts';
import type { Node } from './node.ts';
import type { Settings } from './settings.ts';
import { createServices } from './services.ts';

export interface HttpServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Requests under way may take this long after a stop was asked for. */
const DRAIN_MS = 2000;

/** The HTTP API of a node on its HOST and PORT. Throws `port-busy`. */
export async function startHttp(node: Node, apiKey: string, tls: TlsCertificate): Promise<HttpServer> {
  const { settings, logger } = node;
  let url = '';
  const services = await createServices(node, { apiKey, url: () => url, tls });
  const pair = tls.keys();
  const { server, renew } = createHttpServer({ fetch: createApp(services.context).fetch, tls: pair });
  tls.onChange(renew);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(startError(error, settings)));
      server.listen(settings.port, settings.host, resolve);
    });
  } catch (error) {
    await services.stop();
    throw error;
  }
  const address = server.address() as AddressInfo; // it listens on TCP
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  url = `${pair === undefined ? 'http' : 'https'}://${host}:${address.port}`;
  logger.info({ url }, 'listening');
  return {
    url,
    async stop() {
      services.close();
      await new Promise<void>((resolve) => {
        const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
        server.close(() => {
          clearTimeout(late);
          resolve();
        });
        server.closeIdleConnections();
      });
      await services.stop();
    },
  };
}

function startError(error: NodeJS.ErrnoException, settings: Pick<Settings, 'host' | 'port'>): Error {
  if (error.code !== 'EADDRINUSE') return error;
  return new AgrinetError(
    'port-busy',
    `port ${settings.port} of ${settings.host} is in use; stop what listens there or set PORT`,
  );
}
