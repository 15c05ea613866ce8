import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, processCpu, until } from './measure.ts';
import { openConnection, requestBytes, type RawConnection } from './raw-http.ts';
import type { ObservedCommit } from './observed-daemon.ts';
import { startProxy, type CountingProxy } from './proxy.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const OBSERVED = fileURLToPath(new URL('observed-daemon.ts', import.meta.url));
/** As `agrinet.mjs` starts itself. */
const FLAGS = [
  '--max-semi-space-size=16',
  '--heap-growing-percent=40',
  '--min-semi-space-size=4',
  '--preserve-symlinks',
];
const STARTED_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 15_000;
const NEXT_COMMIT_MS = 10_000;

/** A real daemon as its own process on loopback, its Mycelium port behind a counting proxy. */
export interface DaemonProcess {
  pid: number;
  port: number;
  url: string;
  key: string;
  dataDir: string;
  peerId: string;
  /** CPU time of all its threads until it answered, seconds. */
  startCpuS: number;
  proxy: CountingProxy;
  /** Headers of an operator's request. */
  headers: Record<string, string>;
  /** One request on a connection of its own that stays open; JSON in, JSON out (undefined for an empty body). */
  ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  /** As `ask`, and throws unless the status is 2xx. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Of a daemon that is observed: every commit of listings since its start, in order. */
  commits: readonly ObservedCommit[];
  /** Resolves with the next commit of listings of a daemon that is observed; rejects after ten seconds. */
  nextCommit(): Promise<ObservedCommit>;
  stop(): Promise<void>;
}

/**
 * Starts a daemon on the folder `name` under `folder`, empty at first, and waits for `GET /health`. Throws with its last output.
 * `observed`: it tells of its commits.
 */
export async function startDaemon(
  folder: string,
  name: string,
  { observed = false }: { observed?: boolean } = {},
): Promise<DaemonProcess> {
  const [port, myceliumPort] = [await freePort(), await freePort()];
  const proxy = await startProxy(myceliumPort);
  const dataDir = join(folder, name);
  mkdirSync(dataDir, { recursive: true });
  const key = `bench-key-of-node-${name}`;
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    NODE_ENV: 'production',
    DATA_DIR: dataDir,
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    API_KEY: key,
    REGION: name,
    MYCELIUM_NODE_NAME: name,
    MYCELIUM_NETWORK: 'bench',
    MYCELIUM_PORT: String(myceliumPort),
    MYCELIUM_ANNOUNCE: `/ip4/127.0.0.1/tcp/${proxy.port}`,
    LOG_LEVEL: 'warn',
    RATE_LIMIT: 'off', // what is measured is how much it can take
  };
  const cwd = folder; // no .env of the project and no data folder of it
  const child = observed
    ? fork(OBSERVED, {
        cwd,
        env: { ...env, MALLOC_ARENA_MAX: '2' },
        execArgv: FLAGS,
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      })
    : spawn(process.execPath, [BIN, 'start'], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const commits: ObservedCommit[] = [];
  child.on('message', (commit: ObservedCommit) => commits.push(commit));
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-2000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);

  const headers = { 'x-api-key': key };
  let connection: RawConnection | undefined;
  const ask: DaemonProcess['ask'] = async (method, path, body) => {
    if (connection === undefined || connection.isOver) connection = await openConnection(port);
    try {
      const answer = await connection.send(requestBytes(method, path, headers, body));
      return { status: answer.status, body: parse(answer.body) };
    } catch (error) {
      connection.close();
      connection = undefined;
      throw error;
    }
  };
  const call: DaemonProcess['call'] = async (method, path, body) => {
    const answer = await ask(method, path, body);
    if (answer.status >= 200 && answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)?.slice(0, 300)}`);
  };
  const stop = async (): Promise<void> => {
    connection?.close();
    await end(child);
    await proxy.close();
  };
  try {
    await until(
      `${name}: GET /health`,
      async () => {
        if (hasEnded(child))
          throw new Error(`the daemon ended with ${String(child.exitCode)}: ${output.trim()}`);
        return (await isHealthy(port)) ? true : undefined;
      },
      { everyMs: 50, timeoutMs: STARTED_WITHIN_MS },
    );
    const pid = child.pid;
    const startCpuS = pid === undefined ? Number.NaN : processCpu(pid);
    const peerId = field(await call('GET', '/federation/identity'), 'peerId');
    if (typeof peerId !== 'string' || pid === undefined) throw new Error('the daemon does not say who it is');
    return {
      pid,
      port,
      url: `http://127.0.0.1:${port}`,
      key,
      dataDir,
      peerId,
      startCpuS,
      proxy,
      headers,
      ask,
      call,
      commits,
      async nextCommit() {
        const [commit] = await once(child, 'message', { signal: AbortSignal.timeout(NEXT_COMMIT_MS) });
        return commit as ObservedCommit;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One own field of a JSON object; undefined for anything else. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

async function isHealthy(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2000) });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false; // not listening yet
  }
}

function parse(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return body.toString('utf8'); // an answer that is not JSON is shown as it is
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exit = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN_MS);
  child.kill('SIGTERM');
  await exit;
  clearTimeout(timer);
}
