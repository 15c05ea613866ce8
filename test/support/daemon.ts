import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { compileCache } from './compile-cache.ts';
import { type HttpsFetch, httpsFetch } from './https-fetch.ts';
import { waitFor } from './wait.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

/** A real daemon in a process of its own. */
export interface Daemon {
  readonly url: string;
  readonly apiKey: string;
  readonly child: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  request(method: string, path: string, body?: unknown): Promise<Response>;
  json<T>(method: string, path: string, body?: unknown): Promise<T>;
  digest(): Promise<string>;
  /** Sends the signal and waits for the end; resolves to the exit code, null after a SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** A TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/**
 * Starts a daemon and waits until it answers. `env` overrides the settings; `prefix` is a command that runs it, such as
 * `ip netns exec NAME`, and must become it (exec), so that signals reach the daemon. With TLS_CERT_FILE and TLS_KEY_FILE it is
 * spoken to over HTTPS.
 */
export async function startDaemon(
  dataDir: string,
  env: Record<string, string> = {},
  prefix: readonly string[] = [],
): Promise<Daemon> {
  const port = env['PORT'] ?? String(await freePort());
  const apiKey = env['API_KEY'] ?? randomBytes(24).toString('base64url');
  const all: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    ...compileCache(),
    DATA_DIR: dataDir,
    PORT: port,
    MYCELIUM_PORT: '0',
    MYCELIUM_NETWORK: 'test',
    API_KEY: apiKey,
    LOG_LEVEL: 'info',
    RATE_LIMIT: 'off',
    ...env,
  };
  const [command, ...args] = [...prefix, process.execPath, BIN, 'start'];
  const child = spawn(command ?? process.execPath, args, { env: all, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-200_000)));
  }
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = env;
  const secure = certFile !== undefined && keyFile !== undefined;
  const url = `${secure ? 'https' : 'http'}://${env['HOST'] ?? '127.0.0.1'}:${port}`;
  const ask: HttpsFetch = secure ? httpsFetch(certFile) : fetch;
  const request = (method: string, path: string, body?: unknown): Promise<Response> =>
    ask(url + path, {
      method,
      headers: { 'x-api-key': apiKey, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const json = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await request(method, path, body);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  await waitFor(
    `the daemon to answer on ${url}`,
    async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${output}`);
      // Without the key: the daemon may have it from elsewhere.
      return ask(`${url}/health`).then(
        (r) => r.ok,
        () => false,
      );
    },
    60_000, // a bound, not an expectation: a start takes three seconds of processor time
  ).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`it did not start; so far it said: ${output.slice(-3000)}`, { cause: error });
  });
  return {
    url,
    apiKey,
    child,
    output: () => output,
    request,
    json,
    digest: async () => (await json<{ digest: string }>('GET', '/federation/digest')).digest,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit');
        child.kill(signal);
        await ended;
      }
      return child.exitCode;
    },
  };
}

/** Registers two daemons with one another over HTTP. */
export async function join(one: Daemon, other: Daemon): Promise<void> {
  await one.json('POST', '/federation/join', { url: other.url, key: other.apiKey });
}
