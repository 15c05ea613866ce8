import { connect, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createHttpServer } from '../../../daemon/http-server.ts';
import type { Principal, Scope } from '../../../api/access.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { router } from '../../../api/route.ts';
import { eventRoutes } from '../../../api/routes/events.ts';
import type { SseStreamLimits } from '../../../api/sse-stream.ts';
import type { SseLimits } from '../../../api/sse.ts';
import type { EventLimits } from '../../../daemon/events/event-log.ts';
import { type EventLogs, openEventLogs } from '../../../daemon/events/event-logs.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { tempDir } from '../../support/temp-dir.ts';

export interface EventServer {
  readonly log: EventLogs;
  readonly url: string;
  readonly port: number;
  /** What the node does when it begins to stop. */
  stopping(): void;
  connections(): Promise<number>;
  close(): Promise<void>;
}

/** The event routes on a real socket and a real database; `x-test-user: id[:user[:scope,…]]` says who calls. */
export async function eventServer(
  sse: Partial<SseLimits & SseStreamLimits> = {},
  limits: Partial<EventLimits> = {},
): Promise<EventServer> {
  const dir = tempDir('sse');
  const db = await Database.open(dir.path, systemEnv);
  const log = await openEventLogs(db, identityFromSeed(new Uint8Array(32).fill(4)), {
    env: systemEnv,
    warn: () => undefined,
    limits,
  });
  const closing = new AbortController();
  const app = router();
  app.onError((error, c) => {
    const code = errorCode(error);
    const statuses = { 'not-found': 404, 'too-many-streams': 429, 'streams-full': 503 } as const;
    const status = code in statuses ? statuses[code as keyof typeof statuses] : 403;
    return c.json({ code }, status);
  });
  app.use(async (c, next) => {
    c.set('principal', principalOf(c.req.header('x-test-user')));
    await next();
  });
  app.route(
    '/',
    eventRoutes({
      env: systemEnv,
      events: {
        ...log,
        relayToken: (conversation, token) => log.relay('token', { ...token }, { conversation }),
        mayHear: async ({ userId }, id) =>
          id === 'c1' && userId === 'amina' ? 'conversations/o/c1' : undefined,
        closing: closing.signal,
      },
      limits: { trustProxy: false },
      sse,
    }),
  );
  const { server } = createHttpServer({ env: systemEnv, fetch: app.fetch });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    log,
    port,
    url: `http://127.0.0.1:${port}`,
    stopping: () => closing.abort(),
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
      ),
    async close() {
      closing.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await log.close();
      await db.close();
      dir.remove();
    },
  };
}

function principalOf(header: string | undefined): Principal {
  const [id = 'anonymous', userId, scopes = 'read'] = header?.split(':') ?? [];
  const base = { id, scopes: new Set(scopes.split(',') as Scope[]) };
  return userId === undefined || userId === '' ? base : { ...base, userId };
}

export interface SseMessage {
  readonly event: string;
  readonly id?: string;
  readonly data: Record<string, unknown>;
}

export interface SseClient {
  readonly status: number;
  readonly headers: Headers;
  readonly messages: SseMessage[];
  /** Resolves when the node has ended the stream. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Listens as EventSource does. */
export async function listenTo(url: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const abort = new AbortController();
  const response = await fetch(url, { headers, signal: abort.signal });
  const messages: SseMessage[] = [];
  const ended = read(response, messages).catch(() => undefined); // cut off is ended as well
  return {
    status: response.status,
    headers: response.headers,
    messages,
    ended,
    close: () => abort.abort(),
  };
}

async function read(response: Response, messages: SseMessage[]): Promise<void> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const event = field('event');
      if (event === undefined) continue;
      const base = { event, data: JSON.parse(field('data') ?? '{}') as Record<string, unknown> };
      const id = field('id');
      messages.push(id === undefined ? base : { ...base, id });
    }
  }
}

/** A client that asks for events and never reads a byte. */
export async function deafClient(port: number, user: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined); // being cut off is what it is for
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.pause();
  socket.write(`GET /events HTTP/1.1\r\nhost: localhost\r\nx-test-user: ${user}\r\n\r\n`);
  return socket;
}
