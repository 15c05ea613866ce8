import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { pause } from '../../protocols/env.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { systemEnv } from '../system-env.ts';

const DAEMON = fileURLToPath(new URL('../agrinet.mjs', import.meta.url));
/** Three nodes start and import on one machine, which may have a single core. */
const REQUEST_TIMEOUT_MS = 30_000;
/** More than a daemon takes to stop all its parts; it is killed after it. */
const TERM_TIMEOUT_MS = 10_000;
/** The last output of a daemon, shown when it ends early. */
const OUTPUT_KEPT = 4_096;

/** A node of the demo, and the one that it contacts first. */
export interface DemoNodeOptions {
  name: string;
  region: string;
  network: string;
  bootstrap: string[];
  /** The HTTP port and the Mycelium port. */
  ports: readonly [number, number];
}

/** One daemon of the demo: a process and a data folder of its own, both gone after `stop`. */
export class DemoNode {
  readonly name: string;
  readonly url: string;
  readonly apiKey: string;
  readonly #child: ChildProcess;
  readonly #dataDir: string;
  readonly #ended: Promise<void>;
  #output = '';
  #failure: string | undefined;
  #stopping = false;

  private constructor(name: string, url: string, apiKey: string, dataDir: string, child: ChildProcess) {
    this.name = name;
    this.url = url;
    this.apiKey = apiKey;
    this.#dataDir = dataDir;
    this.#child = child;
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.#ended = new Promise((resolve) => {
      const end = (reason: string): void => {
        this.#failure ??= reason;
        resolve();
      };
      child.once('error', (error) => end(errorMessage(error)));
      child.once('close', (code, signal) => end(`ended with ${signal ?? `code ${code}`}`));
    });
  }

  /** Starts the process; `waitUntilUp` resolves when it answers. */
  static spawn({ name, region, network, bootstrap, ports: [port, myceliumPort] }: DemoNodeOptions): DemoNode {
    const dataDir = mkdtempSync(join(tmpdir(), 'agrinet-demo-'));
    const apiKey = Buffer.from(systemEnv.bytes(24)).toString('base64url');
    const child = spawn(process.execPath, [DAEMON, 'start'], {
      cwd: dataDir,
      // A group of its own: Ctrl-C on the terminal is for the demo, which then stops its nodes in an orderly way.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Nothing else of our environment: the settings of a real node on this machine are not those of the demo.
      env: {
        PATH: process.env['PATH'],
        DATA_DIR: join(dataDir, 'data'),
        HOST: '127.0.0.1',
        PORT: String(port),
        MYCELIUM_PORT: String(myceliumPort),
        MYCELIUM_NETWORK: network,
        MYCELIUM_NODE_NAME: name,
        MYCELIUM_PEERS: bootstrap.join(','),
        // Strangers find one another here, all on loopback.
        ALLOW_PRIVATE_PEERS: 'on',
        REGION: region,
        API_KEY: apiKey,
        LOG_LEVEL: 'warn',
      },
    });
    return new DemoNode(name, `http://127.0.0.1:${port}`, apiKey, dataDir, child);
  }

  /** Resolves when the daemon answers; throws when its process has ended. */
  async waitUntilUp(signal: AbortSignal): Promise<void> {
    await until(`${this.name} to answer`, signal, async () => {
      this.assertRunning();
      try {
        const response = await this.#fetch('/health', { signal });
        await response.body?.cancel();
        return response.ok;
      } catch (error) {
        if (error instanceof TypeError) return false; // not listening yet: fetch failed
        throw error;
      }
    });
  }

  /** GETs a path, or POSTs `body` to it, with the key of this node. */
  async json<T>(schema: z.ZodType<T>, path: string, signal: AbortSignal, body?: unknown): Promise<T> {
    const init =
      body === undefined
        ? {}
        : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const limit = AbortSignal.any([signal, systemEnv.deadline(REQUEST_TIMEOUT_MS)]);
    const response = await this.#fetch(path, { ...init, signal: limit });
    const text = await response.text();
    if (!response.ok) throw this.#error(`${path} answered ${response.status}: ${text.slice(0, 300)}`);
    const answer = schema.safeParse(JSON.parse(text));
    if (!answer.success)
      throw this.#error(`${path} answered something else: ${z.prettifyError(answer.error)}`);
    return answer.data;
  }

  /** POSTs NDJSON to the import; the answer streams, so it has no deadline but the caller's. */
  async postImport(body: string, signal: AbortSignal): Promise<Response> {
    const headers = { 'content-type': 'application/x-ndjson' };
    return await this.#fetch('/import', { method: 'POST', body, headers, signal });
  }

  /** Ends the process, by force if it takes too long, and removes its folder. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#signal('SIGTERM');
    const kill = systemEnv.after(TERM_TIMEOUT_MS, () => this.#signal('SIGKILL'), { holds: true });
    await this.#ended;
    kill.cancel();
    this.#removeData();
  }

  /** The same at once, for when this process itself is about to end. */
  kill(): void {
    this.#stopping = true;
    this.#signal('SIGKILL');
    this.#removeData();
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('x-api-key', this.apiKey);
    try {
      return await fetch(`${this.url}${path}`, { ...init, headers, redirect: 'error' });
    } catch (error) {
      this.assertRunning();
      throw error;
    }
  }

  /** Throws with the last output of the process if it has ended by itself. */
  assertRunning(): void {
    if (this.#failure !== undefined && !this.#stopping) throw this.#error(this.#failure);
  }

  #error(reason: string): AgrinetError {
    const output = this.#output.trim();
    return new AgrinetError('demo.node', `${this.name}: ${reason}${output === '' ? '' : `\n${output}`}`);
  }

  #signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(name);
  }

  #removeData(): void {
    rmSync(this.#dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Asks again every 200 ms until the answer is true; throws the signal's reason, naming what it waited for. */
export async function until(what: string, signal: AbortSignal, done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) {
    await pause(systemEnv, 200, signal, { holds: true });
    if (signal.aborted)
      throw new AgrinetError('not-converged', `gave up waiting for ${what}: ${errorMessage(signal.reason)}`);
  }
}

/** Two TCP ports that were free a moment ago; both are held until both are known, so they differ. */
export async function freePorts(): Promise<[number, number]> {
  const [one, other] = [await listen(), await listen()];
  await Promise.all([one.close(), other.close()]);
  return [one.port, other.port];
}

async function listen(): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new AgrinetError('internal', 'no port was given');
  const close = async (): Promise<void> => {
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: address.port, close };
}
