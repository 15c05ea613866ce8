import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { freePort } from './daemon.ts';
import { tempDir } from './temp-dir.ts';
import { waitFor } from './wait.ts';

/** Why tests with Redis cannot run here, with the cure, or undefined when they can. */
export function redisLacking(): string | undefined {
  const { error, status } = spawnSync('redis-server', ['--version']);
  return error === undefined && status === 0
    ? undefined
    : 'no redis-server here; install it with: apt-get install redis-server';
}

/** A real Redis in a process of its own, on a free port of loopback. */
export interface TestRedis {
  readonly url: string;
  /** SIGKILL; without persistence everything in it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts one; `persistent` fsyncs every command (AOF). */
export async function startRedis(
  options: { persistent?: boolean; password?: string } = {},
): Promise<TestRedis> {
  const dir = tempDir('redis');
  const port = await freePort();
  const { persistent = false, password } = options;
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir.path, '--save', ''];
    args.push('--appendonly', persistent ? 'yes' : 'no', '--appendfsync', 'always');
    if (password !== undefined) args.push('--requirepass', password);
    const started = spawn('redis-server', args, { stdio: 'ignore' });
    child = started;
    await waitFor(`Redis on port ${port}`, () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`);
      return answers(port);
    });
  }
  async function kill(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  await start();
  const login = password === undefined ? '' : `:${password}@`;
  return {
    url: `redis://${login}127.0.0.1:${port}`,
    kill,
    restart: start,
    async remove() {
      await kill();
      dir.remove();
    },
  };
}

/** Whether it answers a PING, be it with a refusal for want of a password. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const end = (ok: boolean): void => {
      socket.destroy();
      resolve(ok);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('data', (data) => end(/^(\+PONG|-NOAUTH)/.test(data.toString())));
  });
}
