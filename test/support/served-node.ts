import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createHttpServer } from '../../daemon/http-server.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import type { TestNode } from './in-process-node.ts';

/** Where a node in this process is reached over the real server, on loopback. */
export interface Served {
  readonly port: number;
  readonly url: string;
  close(): void;
}

export async function serveNode({ app }: Pick<TestNode, 'app'>): Promise<Served> {
  const { server } = createHttpServer({ env: systemEnv, fetch: app.fetch });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
