import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { addressGroup, isLoopback } from '../api/limits/address.ts';
import { allowOthers, type Env, every } from '../protocols/env.ts';
import { ERROR_CODES, type ErrorCode } from '../protocols/error-codes.ts';
import { Counts } from '../protocols/counts.ts';

/** Limits of one connection, and of all of them together. Times in milliseconds. */
export interface ServerLimits {
  /** Request target, header names and values of one request: our own take less than 12 KiB, a token at most 8 KiB. */
  readonly maxHeaderBytes: number;
  /** From the connection or the first byte to the end of the headers: a client that takes longer is holding the connection on purpose. */
  readonly headersMs: number;
  /** How long a body may send nothing, or a reader take nothing. A whole request has no time limit, because imports and exports stream. */
  readonly stalledMs: number;
  /** Longer than the minute for which proxies keep an idle connection, so that the proxy closes first. */
  readonly keepAliveMs: number;
  /** All connections together: below the usual limit of open files, with room for the database and peers. */
  readonly connections: number;
  /** Connections from one address (IPv6: one /64), so that one caller cannot take them all. */
  readonly perAddress: number;
  /** Connections from loopback, where a proxy carries those of all clients. */
  readonly perLoopback: number;
  /** Unanswered requests on one connection: browsers and proxies wait for each answer. */
  readonly pipelined: number;
}

export const SERVER_LIMITS: ServerLimits = {
  maxHeaderBytes: 16 * 1024,
  headersMs: 10_000,
  stalledMs: 30_000,
  keepAliveMs: 65_000,
  connections: 2048,
  perAddress: 256,
  perLoopback: 1024,
  pipelined: 64,
};

/** PEM certificate chain and key. */
export interface TlsKeys {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

export interface HttpServerOptions {
  readonly fetch: Parameters<typeof getRequestListener>[0];
  readonly tls?: TlsKeys | undefined;
  readonly env: Pick<Env, 'monotonic' | 'after'>;
  readonly limits?: Partial<ServerLimits>;
}

/** Stands for the Host that HTTP/1.0 need not name, as health checks of load balancers do not; no header of that name is made up. */
const NO_HOST = 'localhost';

/** A request target that cannot be read as a URL, in the error shape of the API. */
function refusedRequest(error: unknown): Response {
  const [code, message]: Refusal =
    error instanceof RequestError
      ? ['request-malformed', 'the Host header or the request target is no URL']
      : ['internal', 'Internal error; the log of the node has the details'];
  return Response.json({ error: message, message, code }, { status: ERROR_CODES[code].http });
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;

/** The HTTP(S) server with its limits, not listening yet. `renew` takes over a new certificate for new connections. */
export function createHttpServer({ fetch, tls, env, limits }: HttpServerOptions): {
  readonly server: Server;
  readonly renew: (keys: TlsKeys) => void;
} {
  const bounds = { ...SERVER_LIMITS, ...limits };
  const serve = getRequestListener(fetch, { hostname: NO_HOST, errorHandler: refusedRequest }) as Listener; // it serves HTTP/2 as well, hence its wider type
  const listener = onlySoMany(bounds.pipelined, serve);
  const options = {
    maxHeaderSize: bounds.maxHeaderBytes + 1, // Node refuses this very size

    headersTimeout: bounds.headersMs,
    requestTimeout: 0,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionsCheckingInterval: Math.ceil(bounds.headersMs / 4),
  };
  if (tls === undefined) {
    const server = createServer(options, listener);
    limitServer(server, bounds, env);
    return { server, renew: () => undefined };
  }
  const secure: TlsServer = createTlsServer(
    {
      ...options,
      cert: asPem(tls.cert),
      key: asPem(tls.key),
      minVersion: 'TLSv1.2',
      handshakeTimeout: bounds.headersMs,
    },
    listener,
  );
  limitServer(secure, bounds, env);
  return {
    server: secure,
    renew: ({ cert, key }) =>
      secure.setSecureContext({ cert: asPem(cert), key: asPem(key), minVersion: 'TLSv1.2' }),
  };
}

/** Ends a connection that sends requests faster than they are answered: Node would begin all of a chunk of them at once. */
function onlySoMany(most: number, serve: Listener): Listener {
  const underWay = new WeakMap<Socket, number>();
  return (incoming, outgoing) => {
    const { socket } = incoming;
    const count = (underWay.get(socket) ?? 0) + 1;
    if (count > most) {
      socket.destroy();
      return undefined;
    }
    underWay.set(socket, count);
    // OPTIONS asks about the server as a whole with `*` (RFC 9110, 9.3.7), which is not a path.
    if (incoming.url === '*') incoming.url = '/';
    outgoing.once('close', () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1));
    return serve(incoming, outgoing);
  };
}

function limitServer(server: Server, limits: ServerLimits, env: HttpServerOptions['env']): void {
  server.maxConnections = limits.connections;
  capAddresses(server, limits);
  const { answering, requests } = endStandstills(server, limits.stalledMs, env);
  const stoodStill = standstills(server, Math.ceil(limits.headersMs / 4), env);
  const refuseError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
    // After a failed handshake (ERR_SSL_…, ERR_TLS_…) there is nobody who could read an answer.
    const unheard = /^(ERR_SSL|ERR_TLS|ECONNRESET|EPIPE)/.test(error.code ?? '');
    if (unheard || !socket.writable || answering(socket)) {
      socket.destroy();
      return;
    }
    refuse(socket, ...(REFUSALS.get(error.code) ?? MALFORMED));
  };
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'ERR_HTTP_REQUEST_TIMEOUT' || !stoodStill()) {
      refuseError(error, socket);
      return;
    }
    // Node's own clock has run on; its parser goes on with what comes, but asks no more.
    const before = requests(socket);
    const timer = allowOthers(env, limits.headersMs, () => {
      if (requests(socket) === before) refuseError(error, socket);
    });
    socket.once('close', () => timer.cancel());
  });
  // 100-continue Node meets by itself; what else a client expects may be ignored (RFC 9110, 10.1.1), and Node's refusal has no body.
  server.on('checkExpectation', (incoming, outgoing) => server.emit('request', incoming, outgoing));
  server.on('connect', (_, socket) => {
    refuse(socket, 'method-refused', 'this is not a proxy');
  });
}

/** Says whether this process has just stood still, by looks that came much too late or are still due. */
function standstills(server: Server, everyMs: number, env: HttpServerOptions['env']): () => boolean {
  let lookedAt = env.monotonic();
  let lateAt = -Infinity;
  const isLate = (now: number): boolean => now - lookedAt >= 2 * everyMs;
  const timer = every(env, everyMs, () => {
    const now = env.monotonic();
    if (isLate(now)) lateAt = now;
    lookedAt = now;
  });
  server.once('close', () => timer.cancel());
  return () => {
    const now = env.monotonic();
    return isLate(now) || now - lateAt < everyMs;
  };
}

/** What the last look found of a connection that has carried a request, and how many looks in a row have found the same. */
interface Exchange {
  requests: number;
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  read: number;
  unread: number;
  sent: string;
  unsent: number;
}

/** So many looks that find nothing moved end an exchange. Looks are counted, not time: while the node itself stood still, nobody was looked at. */
const LOOKS = 6;

/**
 * Looks now and then at every connection: one whose body stopped coming is answered 408, one that takes nothing of its answer is
 * destroyed. A socket's own timer would not do: a byte in one direction sets it back for both. Gives whether an answer is under way, and
 * how many requests a connection has carried.
 */
function endStandstills(
  server: Server,
  stalledMs: number,
  env: HttpServerOptions['env'],
): {
  readonly answering: (socket: Duplex) => boolean;
  readonly requests: (socket: Duplex) => number;
} {
  const exchanges = new Map<Duplex, Exchange>();
  server.prependListener('request', (incoming, outgoing) => {
    const { socket } = incoming;
    const known = exchanges.get(socket);
    if (known !== undefined) Object.assign(known, { incoming, outgoing, requests: known.requests + 1 });
    else {
      exchanges.set(socket, { requests: 1, incoming, outgoing, read: 0, unread: 0, sent: '', unsent: 0 });
      socket.once('close', () => exchanges.delete(socket));
    }
  });
  function look(exchange: Exchange): void {
    const { incoming, outgoing } = exchange;
    const { socket } = incoming;
    const sent = `${socket.bytesWritten - socket.writableLength} ${queuedBytes(socket)}`;
    if (socket.writableLength === 0 || sent !== exchange.sent) Object.assign(exchange, { sent, unsent: 0 });
    else exchange.unsent++;
    // What has come and was not read yet is the node's own delay.
    const owes = !outgoing.writableFinished && !incoming.complete && incoming.readableLength === 0;
    if (!owes || socket.bytesRead !== exchange.read)
      Object.assign(exchange, { read: socket.bytesRead, unread: 0 });
    else exchange.unread++;
    if (exchange.unsent >= LOOKS) socket.destroy();
    else if (exchange.unread < LOOKS) return;
    else if (outgoing.headersSent) socket.destroy();
    else refuse(socket, 'body-slow', 'the body stopped coming; send it again');
  }
  const timer = every(env, Math.ceil(stalledMs / LOOKS), () => {
    for (const exchange of exchanges.values()) look(exchange);
  });
  server.once('close', () => timer.cancel());
  return {
    answering: (socket) => exchanges.get(socket)?.outgoing.writableFinished === false,
    requests: (socket) => exchanges.get(socket)?.requests ?? 0,
  };
}

/**
 * Bytes of the chunk being written that the kernel has not taken. Node shows it nowhere else, and reads it itself for its timers; without
 * it a large chunk on a slow line would look like a standstill.
 */
function queuedBytes(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  return typeof handle === 'object' && handle !== null ? Number(Reflect.get(handle, 'writeQueueSize')) : 0;
}

/** Counts connections by address and closes those beyond the cap before anything is read from them. */
function capAddresses(server: Server, limits: ServerLimits): void {
  const counts = new Counts<string>();
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) return;
    const group = addressGroup(remoteAddress);
    if (counts.of(group) >= (isLoopback(remoteAddress) ? limits.perLoopback : limits.perAddress)) {
      socket.destroy();
      return;
    }
    counts.add(group);
    socket.once('close', () => counts.add(group, -1));
  });
}

type Refusal = readonly [code: ErrorCode, message: string];

const MALFORMED: Refusal = ['request-malformed', 'this is not HTTP'];
/** Errors of Node's parser, by code. */
const REFUSALS: ReadonlyMap<string | undefined, Refusal> = new Map([
  [
    'HPE_INVALID_URL',
    ['request-malformed', 'the request target is no URL; percent-encode spaces and letters beyond ASCII'],
  ],
  ['HPE_HEADER_OVERFLOW', ['headers-too-large', 'the headers are too large']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', ['body-too-large', 'the chunk extensions are too large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', ['headers-slow', 'the headers took too long']],
]);

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
};

/** Answers outside of any route, in the error shape of the API, and closes. */
function refuse(socket: Duplex, code: ErrorCode, message: string): void {
  const status = ERROR_CODES[code].http;
  const body = JSON.stringify({ error: message, message, code });
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}

function asPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === 'string' ? pem : Buffer.from(pem);
}
