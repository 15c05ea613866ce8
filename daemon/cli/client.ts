import { type ClientResponse, hc } from 'hono/client';
import { z } from 'zod';
import type { Api } from '../../api/groups.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { readLocalApiKey } from '../api-key.ts';
import { readSettings } from '../secrets.ts';
import { isLoopbackHost, type Settings } from '../settings.ts';
import { systemEnv } from '../system-env.ts';
import { printable } from './output.ts';

/** The running daemon, as the command line sees it. Every call throws `daemon-not-running` or `request-refused`. */
export interface DaemonClient {
  /** Calls by route, typed by what the routes declare: `client.api.listings.$get({ query: {} })`. */
  readonly api: ReturnType<typeof hc<Api>>;
  /** A request whose answer, always a 2xx, is read as it comes; the deadline is for its headers only. */
  postStream(path: string, body: string | Uint8Array<ArrayBuffer>, contentType: string): Promise<Response>;
  /** The same for reads. */
  getStream(path: string): Promise<Response>;
}

/** A daemon answers a simple request within milliseconds, or within seconds while it is starting or scanning its records. */
const GET_MS = 10_000;
/** Joining asks another node, which asks back. */
const POST_MS = 60_000;
const refusal = z.object({
  error: z.string().optional(),
  message: z.string().optional(),
  code: z.string().optional(),
});

/**
 * A client of the daemon at BACKEND_URL. It sends API_KEY; the key in DATA_DIR only to a daemon on this host, since
 * it belongs to no other. Redirects are refused, as they would carry the key along.
 */
export function connect(settings: Settings = readSettings()): DaemonClient {
  const base = settings.backendUrl;
  const local = isLoopbackHost(new URL(base).hostname);
  /** The deadline ends with the headers, or with the whole answer when `whole`. */
  const request = async (
    url: string | URL | Request,
    init: RequestInit | undefined,
    whole: boolean,
  ): Promise<Response> => {
    const timeoutMs = (init?.method ?? 'GET') === 'GET' ? GET_MS : POST_MS;
    const key = local ? await readLocalApiKey(settings) : settings.apiKey;
    const headers = new Headers(init?.headers);
    if (key !== undefined) headers.set('x-api-key', key);
    const deadline = new AbortController();
    const timer = systemEnv.after(timeoutMs, () => deadline.abort());
    let response: Response;
    try {
      response = await fetch(url, { ...init, headers, signal: deadline.signal, redirect: 'manual' });
    } catch (cause) {
      throw deadline.signal.aborted ? silent(base, timeoutMs, cause) : absent(base, cause);
    } finally {
      if (!whole) timer.cancel();
    }
    if (!response.ok) throw await refused(base, response, key !== undefined);
    if (!response.headers.has('x-agrinet-version')) throw stranger(base);
    return wholeOrRefused(base, response);
  };
  return {
    api: hc<Api>(base, {
      fetch: (url: string | URL | Request, init?: RequestInit) => request(url, init, true),
    }),
    postStream: (path, body, contentType) =>
      request(base + path, { method: 'POST', body, headers: { 'content-type': contentType } }, false),
    getStream: (path) => request(base + path, {}, false),
  };
}

/** The JSON of an answer; a refusal has been thrown before. */
export async function answerOf<T>(pending: Promise<ClientResponse<T, number, 'json'>>): Promise<T> {
  return (await pending).json();
}

/** What a list that is asked for in pages of 500 holds in all. */
export async function everyRow<P extends { readonly cursor?: string | undefined }, Row>(
  pageOf: (query: { limit: string; cursor?: string }) => Promise<P>,
  rowsOf: (page: P) => readonly Row[],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let page: P | undefined; page === undefined || page.cursor !== undefined;) {
    page = await pageOf({ limit: '500', ...(page?.cursor === undefined ? {} : { cursor: page.cursor }) });
    rows.push(...rowsOf(page));
  }
  return rows;
}

/** The same answer; reading it throws `daemon-not-running` where the daemon ends before its answer does. */
function wholeOrRefused(base: string, response: Response): Response {
  const { body, status, headers } = response;
  if (body === null) return response;
  const reader = body.getReader();
  const told = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (cause) {
        const message = `The daemon at ${base} closed the connection before its answer was complete. Check that it runs, then run the command again.`;
        throw new AgrinetError('daemon-not-running', message, { cause });
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(told, { status, headers });
}

function stranger(base: string): AgrinetError {
  return new AgrinetError(
    'request-refused',
    `The server at ${base} is not an agrinetd of this version. Check BACKEND_URL.`,
  );
}

function absent(base: string, cause: unknown): AgrinetError {
  const message = `No daemon answers at ${base}. Start one with \`agrinet start\` or set BACKEND_URL.`;
  return new AgrinetError('daemon-not-running', message, { cause });
}

function silent(base: string, timeoutMs: number, cause: unknown): AgrinetError {
  const message = `The daemon at ${base} did not answer within ${timeoutMs / 1000} s. Check its log, or set BACKEND_URL.`;
  return new AgrinetError('daemon-not-running', message, { cause });
}

async function refused(base: string, response: Response, withKey: boolean): Promise<AgrinetError> {
  const answer = refusal.safeParse(await response.json().catch(() => undefined)).data;
  const reason = printable(answer?.error ?? answer?.message ?? `HTTP ${response.status}`, 300);
  const denied = response.status === 401 || response.status === 403;
  const advice = withKey
    ? 'Set API_KEY to a key of that node.'
    : 'Set API_KEY, or run this as the daemon’s user with its DATA_DIR.';
  return new AgrinetError(
    'request-refused',
    `The daemon at ${base} refused: ${reason}${denied ? `. ${advice}` : ''}`,
    {
      details: { status: response.status, code: answer?.code },
    },
  );
}
