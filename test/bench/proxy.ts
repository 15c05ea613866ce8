import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback that counts. It stands in front of a node's Mycelium port. */
export interface CountingProxy {
  port: number;
  /** Bytes passed on in both directions since the start, TCP's own headers not counted. */
  bytes(): number;
  close(): Promise<void>;
}

/** Starts a proxy in front of a port on loopback. */
export async function startProxy(targetPort: number): Promise<CountingProxy> {
  let count = 0;
  const sockets = new Set<Socket>();
  const server = createServer((inbound) => {
    const outbound = connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(socket.setNoDelay());
      socket.on('data', (chunk: Buffer) => {
        count += chunk.length;
      });
      socket.pipe(other);
      socket.on('error', () => other.destroy()); // a node ended: the other side learns it by its own socket
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    bytes: () => count,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
