import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort, join as befriend, startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const NEVER_STOPS = join(import.meta.dirname, '..', 'support', 'never-stops.ts');

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('signals');
});
afterEach(() => dir.remove());

test('a daemon without a terminal goes on after SIGHUP, SIGUSR2 and SIGPIPE, says so, and ends at SIGTERM', async () => {
  const daemon = await startDaemon(dir.path);
  try {
    for (const [signal, line] of [
      ['SIGHUP', 'settings are read at the start only'],
      ['SIGUSR2', 'SIGUSR2 is ignored'],
    ] as const) {
      daemon.child.kill(signal);
      await waitFor(`a line about ${signal}`, () => daemon.output().includes(line));
    }
    daemon.child.kill('SIGPIPE');
    await daemon.json('POST', '/listings', { type: 'offer', title: 'after the signals' });
  } finally {
    expect(await daemon.stop()).toBe(0);
  }
});

/** That the daemon serves, that it has dropped lines, and that it ends as asked. */
async function expectService(daemon: Awaited<ReturnType<typeof startDaemon>>): Promise<void> {
  await waitFor('a dropped line to be counted', async () => {
    await daemon.json('POST', '/listings', { type: 'offer', title: 'without a log' });
    daemon.child.kill('SIGUSR2'); // which is a line
    const metrics = await (await daemon.request('GET', '/metrics')).text();
    return /^agrinet_log_lines_dropped_total [1-9]/m.test(metrics);
  });
  expect(await daemon.stop()).toBe(0);
}

test('a daemon whose log is on a full disk from the start serves, counts what is lacking, and ends when asked', async () => {
  const full = ['sh', '-c', 'exec "$@" >/dev/full', 'sh'];
  const env = { LOG_LEVEL: 'debug', PORT: String(await freePort()) };
  await expectService(await startDaemon(dir.path, env, full));
});

test('so does one whose log nobody reads any more', async () => {
  const daemon = await startDaemon(dir.path, { LOG_LEVEL: 'debug' });
  daemon.child.stdout?.destroy();
  daemon.child.stderr?.destroy();
  await expectService(daemon);
});

test('nothing holds the process after its log has said that it has stopped, with a peer connected and without', async () => {
  const probe = `--import=${new URL('../support/end-probe.ts', import.meta.url).href}`;
  const files = ['alone', 'one', 'other'].map((name) => join(dir.path, `${name}.json`));
  const [alone, one, other] = await Promise.all(
    files.map((END_FILE, i) =>
      startDaemon(join(dir.path, String(i)), { NODE_OPTIONS: probe, END_FILE, MYCELIUM_MDNS: 'on' }),
    ),
  );
  const daemons = [alone, one, other].flatMap((daemon) => (daemon === undefined ? [] : [daemon]));
  try {
    if (one !== undefined && other !== undefined) await befriend(one, other);
  } finally {
    const codes = await Promise.all(daemons.map((daemon) => daemon.stop()));
    expect(codes).toEqual([0, 0, 0]);
  }
  expect(files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as unknown)).toEqual([[], [], []]);
});

test('a signal that comes twice is one request; another, a second later, ends a process that does not stop', async () => {
  const child = fork(NEVER_STOPS, { silent: true });
  const messages: string[] = [];
  child.on('message', (message: string) => messages.push(message));
  const heard = async (message: string): Promise<void> => {
    await waitFor(`the process to say ${message}`, () => messages.includes(message));
  };
  try {
    await heard('ready');
    child.kill('SIGTERM');
    await heard('first');
    // As npm forwards it to a child that the terminal has already sent it to.
    child.kill('SIGINT');
    await heard('heard SIGINT');
    expect(child.exitCode ?? child.signalCode).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    child.kill('SIGTERM');
    if (child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
  } finally {
    child.kill('SIGKILL');
  }
});

test('a daemon whose whole process group is asked to stop, npm and it, ends in order', async () => {
  const port = await freePort();
  const npm = spawn('npm', ['start'], {
    detached: true,
    cwd: join(import.meta.dirname, '..', '..'),
    env: {
      ...process.env,
      DATA_DIR: dir.path,
      PORT: String(port),
      MYCELIUM_PORT: '0',
      MYCELIUM_MDNS: 'off',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [npm.stdout, npm.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(npm, 'close');
  try {
    await waitFor(
      'the page',
      async () => (await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined))?.ok === true,
    );
  } finally {
    process.kill(-(npm.pid ?? 0), 'SIGTERM');
  }
  await ended;
  expect(output).toContain('stopped');
  expect(output).not.toContain('SIGKILL');
});
