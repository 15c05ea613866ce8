import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError, errorCode, systemCode } from '../../protocols/errors.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import type { Resolve } from '../checked-lookup.ts';
import { checkedConnection } from './checked-connection.ts';
import type { CheckedSocket, ConnectionSession } from './connection-session.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { peerUrl } from './peer-addresses.ts';

export interface GuardedRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** For the whole exchange, to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Longest silence while something is waited for; a slow reader on our side does not count. Default: `timeoutMs`. */
  readonly idleMs?: number;
  /** Ends the exchange at once: a node that is told to stop waits for no response. */
  readonly signal?: AbortSignal;
  readonly maxBytes: number;
  /** Takes a body under gzip, too, as it comes: some servers compress whatever they are asked for. */
  readonly gzip?: boolean;
  /** The expected TLS certificate: SHA-256, hex. Without it a certificate is verified by the system's CAs. */
  readonly pin?: string;
  /** Takes any certificate for this one exchange: only for the challenge, whose answer is signed over its fingerprint. */
  readonly anyCertificate?: boolean;
  /** Uses connections again that were checked for the same origin and pin. Without it each request has its own. */
  readonly session?: ConnectionSession;
}

export interface GuardedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** SHA-256 of the certificate, lower-case hex; empty over plain http. */
  readonly tlsFingerprint: string;
  /** Once. Leaving it early ends the connection. */
  readonly body: AsyncIterable<Uint8Array>;
  bytes(): Promise<Uint8Array>;
  /** Throws `answer-malformed`. */
  json(): Promise<unknown>;
}

/**
 * Asks another node: the only way out over HTTP. The address is checked inside the connection, redirects are refused,
 * time and size are bounded, nothing is pooled beyond a `session` and no message repeats what was answered. Throws `address-refused`,
 * `peer-unreachable`, `peer-timeout`, `peer-redirects`, `certificate-changed` (not the pinned one, or not valid), `answer-too-large`, `answer-malformed`.
 */
export type GuardedFetch = (url: string, request: GuardedRequest) => Promise<GuardedAnswer>;

export interface GuardedFetchOptions extends AddressPolicy {
  readonly env: Pick<Env, 'after'>;
  /** For tests; the system's otherwise. */
  readonly lookup?: Resolve | undefined;
  /** Certificates trusted instead of the system's, PEM; for tests. */
  readonly ca?: string | undefined;
}

export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  async function exchangeOver(
    url: URL,
    request: GuardedRequest,
    kept?: CheckedSocket,
  ): Promise<GuardedAnswer> {
    const { pending, ready } =
      kept === undefined
        ? checkedConnection(url, {
            policy: options,
            resolve: options.lookup,
            ca: options.ca,
            pin: request.pin,
            anyCertificate: request.anyCertificate,
          })
        : { pending: kept.socket, ready: Promise.resolve(kept) };
    const exchange = watch(options.env, pending, url.origin, request);
    try {
      const connection = await exchange.within(ready);
      if (kept === undefined) sessionOf(request)?.add(url.origin, request.pin, connection);
      const response = await exchange.within(send(url, request, connection.socket, exchange.fail));
      const status = response.statusCode ?? 0;
      if (status >= 300 && status < 400 && status !== 304)
        throw new AgrinetError('peer-redirects', `${url.origin} redirects; use its final URL`);
      const encoding = response.headers['content-encoding'] ?? 'identity';
      if (encoding !== 'identity' && !(request.gzip === true && GZIP.has(encoding)))
        throw new AgrinetError(
          'answer-malformed',
          `${url.origin} answered with an unsupported content-encoding`,
        );
      if (Number(response.headers['content-length'] ?? 0) > request.maxBytes) throw tooLarge(url, request);
      return answerOf(url, request, response, connection.tlsFingerprint, exchange);
    } catch (error) {
      exchange.end();
      throw error;
    }
  }

  return async (text, request) => {
    const url = peerUrl(text, options);
    // Only what may be asked twice goes over a kept connection: the other side may be closing it just now.
    const again = (request.method ?? 'GET') === 'GET' && request.body === undefined;
    const kept = again ? sessionOf(request)?.take(url.origin, request.pin) : undefined;
    if (kept === undefined) return exchangeOver(url, request);
    try {
      return await exchangeOver(url, request, kept);
    } catch (error) {
      if (errorCode(error) !== 'peer-unreachable') throw error;
      return exchangeOver(url, request);
    }
  };
}

const GZIP: ReadonlySet<string> = new Set(['gzip', 'x-gzip']);

/** A connection of which any certificate was taken is never used for anything else. */
function sessionOf({ session, anyCertificate = false }: GuardedRequest): ConnectionSession | undefined {
  return anyCertificate ? undefined : session;
}

interface Exchange {
  /** The value, unless time runs out or the connection fails first. */
  within<T>(work: Promise<T>): Promise<T>;
  readonly fail: (error: Error) => void;
  /** Closes the connection; what still comes is not read. */
  end(): void;
  /** The answer is read to its end: the connection is its session's again, or closed. */
  done(): void;
}

/** Bounds an exchange in time: the whole of it, and each wait. */
function watch(env: Pick<Env, 'after'>, socket: Socket, origin: string, request: GuardedRequest): Exchange {
  const { timeoutMs, idleMs = timeoutMs, signal } = request;
  let failure: Error | undefined;
  let wake: ((error: Error) => void) | undefined;
  const unwatch = (): void => {
    deadline.cancel();
    signal?.removeEventListener('abort', onAbort);
  };
  const end = (): void => {
    unwatch();
    socket.destroy();
  };
  const fail = (error: Error): void => {
    failure ??= told(error, origin);
    wake?.(failure);
    end();
  };
  const onAbort = (): void =>
    fail(new AgrinetError('peer-timeout', `${origin} took too long to answer; try again later`));
  const late = (what: string): void =>
    fail(new AgrinetError('peer-timeout', `${origin} ${what}; try again later`));
  const deadline = env.after(timeoutMs, () => late('took too long'), { holds: true });
  signal?.addEventListener('abort', onAbort);
  // The connection may fail at any time; the waiting caller is told.
  socket.on('error', fail);
  return {
    async within(work) {
      if (failure !== undefined) {
        work.catch(() => undefined); // its end is known already
        throw failure;
      }
      let idle: Timer | undefined;
      const stopped = new Promise<never>((_, reject) => {
        wake = reject;
        idle = env.after(idleMs, () => late('fell silent'), { holds: true });
      });
      try {
        return await Promise.race([work, stopped]);
      } catch (error) {
        throw failure ?? told(error, origin);
      } finally {
        idle?.cancel();
        wake = undefined;
      }
    },
    fail,
    end,
    done() {
      if (sessionOf(request) === undefined) {
        end();
        return;
      }
      unwatch();
      socket.off('error', fail);
    },
  };
}

/** Only our own messages: errors of the connection may contain what the peer wrote. */
function told(error: unknown, origin: string): Error {
  if (error instanceof AgrinetError) return error;
  const code = systemCode(error);
  if (code.startsWith('HPE_'))
    return new AgrinetError('answer-malformed', `${origin} did not answer with HTTP`, { cause: error });
  if (/CERT|ALTNAME|SELF_SIGNED|ISSUER|^ERR_TLS/.test(code))
    return new AgrinetError(
      'certificate-changed',
      `${origin} presents a TLS certificate that is not valid for it`,
      {
        cause: error,
      },
    );
  return new AgrinetError('peer-unreachable', `${origin} does not answer`, { cause: error });
}

function send(
  url: URL,
  request: GuardedRequest,
  socket: Socket,
  fail: (error: Error) => void,
): Promise<IncomingMessage> {
  const { method = 'GET', headers = {}, body } = request;
  return new Promise((resolve) => {
    const out = httpRequest({
      method,
      path: url.pathname + url.search,
      headers: {
        accept: 'application/json',
        ...headers,
        host: url.host,
        'accept-encoding': 'identity',
        connection: sessionOf(request) === undefined ? 'close' : 'keep-alive',
        ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      },
      setHost: false,
      createConnection: () => socket,
    });
    out.once('response', resolve);
    out.on('error', fail);
    out.end(body);
  });
}

function tooLarge(url: URL, { maxBytes }: GuardedRequest): AgrinetError {
  return new AgrinetError('answer-too-large', `${url.origin} answered with more than ${maxBytes} bytes`);
}

function answerOf(
  url: URL,
  request: GuardedRequest,
  response: IncomingMessage,
  tlsFingerprint: string,
  exchange: Exchange,
): GuardedAnswer {
  response.on('error', exchange.fail);
  async function* read(): AsyncGenerator<Uint8Array> {
    let size = 0;
    let whole = false;
    const chunks = response[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await exchange.within<IteratorResult<Buffer>>(chunks.next());
        if (next.done === true) {
          whole = true;
          return;
        }
        size += next.value.length;
        if (size > request.maxBytes) throw tooLarge(url, request);
        yield new Uint8Array(next.value.buffer, next.value.byteOffset, next.value.length);
      }
    } finally {
      if (whole) exchange.done();
      else exchange.end();
    }
  }
  const body = read();
  const bytes = async (): Promise<Uint8Array> => {
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    return concat(parts);
  };
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    tlsFingerprint,
    body,
    bytes,
    async json() {
      const data = await bytes();
      try {
        return JSON.parse(Buffer.from(data).toString());
      } catch (error) {
        throw new AgrinetError('answer-malformed', `${url.origin} did not answer with JSON`, {
          cause: error,
        });
      }
    },
  };
}
