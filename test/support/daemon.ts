import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { startDaemon as runHere } from '../../daemon/daemon.ts';
import { createLogger } from '../../daemon/logger.ts';
import { loadSettings } from '../../daemon/settings.ts';
import { compileCache } from './compile-cache.ts';
import { type HttpsFetch, httpsFetch } from './https-fetch.ts';
import { UnexpectedStatus, waitFor } from './wait.ts';

/** Characters of the log that are kept. */
const OUTPUT_LENGTH = 200_000;
const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

/** A whole daemon on loopback, wherever it runs. */
export interface Daemon {
  readonly url: string;
  readonly apiKey: string;
  /** Everything it logged so far. */
  output(): string;
  request(method: string, path: string, body?: unknown): Promise<Response>;
  json<T>(method: string, path: string, body?: unknown): Promise<T>;
  digest(): Promise<string>;
  /** Stops it as SIGTERM does and resolves at the end, to the exit code. */
  stop(): Promise<number | null>;
}

/** A daemon in a process of its own, for what only a process can show: kills, signals, exit codes, its memory. */
export interface DaemonProcess extends Daemon {
  readonly child: ChildProcess;
  /** Sends the signal and waits for the end; resolves to the exit code, null after a SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/**
 * A TCP port that was free a moment ago, below those that the kernel gives to connections: whoever tries again and again to reach a
 * server that is away would sooner or later be given its port, be connected with itself, and keep the server from coming back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_100, 32_768);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** What every daemon of a test is set to, unless the test says otherwise. */
const settingsOf = (
  dataDir: string,
  apiKey: string,
  env: Record<string, string>,
): Record<string, string> => ({
  DATA_DIR: dataDir,
  PORT: '0',
  MYCELIUM_PORT: '0',
  MYCELIUM_NETWORK: 'test',
  API_KEY: apiKey,
  LOG_LEVEL: 'info',
  RATE_LIMIT: 'off',
  ...env,
});

const keyOf = (env: Record<string, string>): string =>
  env['API_KEY'] ?? randomBytes(24).toString('base64url');

/** With TLS_CERT_FILE and TLS_KEY_FILE it is spoken to over HTTPS. */
const fetchOf = ({ TLS_CERT_FILE: cert, TLS_KEY_FILE: key }: Record<string, string>): HttpsFetch =>
  cert === undefined || key === undefined ? fetch : httpsFetch(cert);

/** The API of a daemon, with its key. */
function clientOf(
  url: string,
  apiKey: string,
  ask: HttpsFetch,
): Pick<Daemon, 'url' | 'apiKey' | 'request' | 'json' | 'digest'> {
  const request = (method: string, path: string, body?: unknown): Promise<Response> =>
    ask(url + path, {
      method,
      headers: { 'x-api-key': apiKey, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const json = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await request(method, path, body);
    if (!response.ok) throw new UnexpectedStatus(`${method} ${path}`, response.status, await response.text());
    return (await response.json()) as T;
  };
  return {
    url,
    apiKey,
    request,
    json,
    digest: async () => (await json<{ digest: string }>('GET', '/federation/digest')).digest,
  };
}

/** Starts a daemon in this process: the same parts, sockets and files, without the seconds that a process takes to load them. */
export async function startDaemonHere(dataDir: string, env: Record<string, string> = {}): Promise<Daemon> {
  process.umask(0o077); // as the command line does
  const settings = loadSettings(settingsOf(dataDir, keyOf(env), env));
  let output = '';
  const logger = createLogger(settings, {
    write: (line) => void (output = (output + line).slice(-OUTPUT_LENGTH)),
  });
  const daemon = await runHere(settings, logger);
  let stopped: Promise<void> | undefined;
  return {
    ...clientOf(daemon.url, settings.apiKey ?? '', fetchOf(env)),
    output: () => output,
    async stop() {
      await (stopped ??= daemon.stop());
      return 0;
    },
  };
}

/**
 * Starts a daemon in a process of its own and waits until it answers. `env` overrides the settings; `prefix` is a command that runs it,
 * such as `ip netns exec NAME`, and must become it (exec), so that signals reach the daemon.
 */
export async function startDaemon(
  dataDir: string,
  env: Record<string, string> = {},
  prefix: readonly string[] = [],
): Promise<DaemonProcess> {
  const apiKey = keyOf(env);
  const all: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    ...compileCache(),
    ...settingsOf(dataDir, apiKey, env),
  };
  const [command, ...args] = [...prefix, process.execPath, BIN, 'start'];
  const child = spawn(command ?? process.execPath, args, { env: all, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream
      ?.setEncoding('utf8')
      .on('data', (text: string) => (output = (output + text).slice(-OUTPUT_LENGTH)));
  }
  const ask = fetchOf(env);
  const url = await startedAt(child, () => output, env, ask).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`it did not start; so far it said: ${output.slice(-3000)}`, { cause: error });
  });
  return {
    ...clientOf(url, apiKey, ask),
    child,
    output: () => output,
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

/** A bound, not an expectation: a start takes a second of processor time. */
const START_MS = 60_000;

/** The URL of a daemon, once it answers there: by its own log, or at the PORT it was given, for then its log may lead elsewhere. */
async function startedAt(
  child: ChildProcess,
  output: () => string,
  env: Record<string, string>,
  ask: HttpsFetch,
): Promise<string> {
  const refused = (): never => {
    throw new Error(`the daemon ended with ${child.exitCode ?? child.signalCode}: ${output()}`);
  };
  if (env['PORT'] !== undefined && env['PORT'] !== '0') {
    const scheme = ask === fetch ? 'http' : 'https';
    const url = `${scheme}://${env['HOST'] ?? '127.0.0.1'}:${env['PORT']}`;
    // Without the key: the daemon may have it from elsewhere.
    const answers = (): Promise<boolean> =>
      ask(`${url}/health`).then(
        (r) => r.ok,
        () => false,
      );
    const check = (): Promise<boolean> => (child.exitCode === null ? answers() : refused());
    await waitFor(`the daemon to answer on ${url}`, check, START_MS);
    return url;
  }
  const bound = AbortSignal.timeout(START_MS);
  const over = new AbortController();
  const ended = once(child, 'exit', { signal: over.signal }).then(refused);
  ended.catch(() => undefined); // of interest until it has started
  try {
    for (;;) {
      const url = /"url":"([^"]+)","msg":"listening"/.exec(output())?.[1];
      if (url !== undefined && output().includes('"msg":"started"')) return url;
      if (child.stdout === null) throw new TypeError('its output is not piped');
      await Promise.race([once(child.stdout, 'data', { signal: bound }), ended]);
    }
  } finally {
    over.abort();
  }
}

/** Registers two daemons with one another over HTTP. */
export async function join(one: Daemon, other: Daemon): Promise<void> {
  await one.json('POST', '/federation/join', { url: other.url, key: other.apiKey });
}
