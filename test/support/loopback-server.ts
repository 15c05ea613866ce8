import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';

/** An HTTP(S) server on loopback that counts who connects. */
export interface LoopbackServer {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  connections(): number;
  /** Another certificate for new connections. */
  renew(tls: Certificate): void;
  close(): Promise<void>;
}

export async function serve(
  listener: RequestListener,
  { tls, host = '127.0.0.1' }: { tls?: Certificate; host?: string } = {},
): Promise<LoopbackServer> {
  const secure = tls === undefined ? undefined : createTlsServer(tls, listener);
  const server: Server = secure ?? createServer(listener);
  let connections = 0;
  server.on('connection', () => connections++);
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    server,
    connections: () => connections,
    renew: (next) => secure?.setSecureContext(next),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
