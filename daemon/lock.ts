import { connect, createServer } from 'node:net';
import { AgrinetError, systemCode } from '../protocols/errors.ts';

/** A held lock; the kernel releases it too when the process dies, however it dies. */
export interface Lock {
  release(): Promise<void>;
}

/** How long the holder may take to say its pid. */
const ASK_MS = 1000;

/**
 * Locks an identity against a second process on this host, also one that runs from a copy of DATA_DIR (which LevelDB's
 * own lock cannot see). Throws `database-locked`. It is a socket in Linux's abstract namespace: no file, nothing to
 * clean up. It does not reach into another network namespace (a container), and elsewhere than on Linux it does
 * nothing; what it misses, the equivocation alarm finds.
 */
export async function lockIdentity(peerId: string): Promise<Lock> {
  if (process.platform !== 'linux') return { release: () => Promise.resolve() };
  const name = `\0agrinetd-${peerId}`;
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy()); // whoever asked has gone
    socket.end(`${process.pid}\n`);
  });
  server.maxConnections = 8;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(name, resolve);
  try {
    await promise;
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error;
    const pid = await askPid(name);
    const who = pid === undefined ? 'Another process' : `Process ${pid}`;
    const message = `${who} already runs as ${peerId} on this host. Stop it first, or give this node a DATA_DIR of its own.`;
    throw new AgrinetError('database-locked', message, { cause: error, details: { pid } });
  }
  server.unref();
  return {
    release: () =>
      new Promise((done) => {
        server.close(() => done());
      }),
  };
}

function askPid(name: string): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const socket = connect(name);
  let text = '';
  socket.setTimeout(ASK_MS, () => socket.destroy());
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > 16) socket.destroy();
  });
  socket.on('error', () => socket.destroy()); // no answer is an answer: 'close' follows
  socket.on('close', () => resolve(/^\d{1,10}\n$/.test(text) ? Number(text) : undefined));
  return promise;
}
