import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { stdout } from '../../daemon/cli/stdout.ts';
import { runCommandLine } from '../../daemon/cli/command-line.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { compileCache } from './compile-cache.ts';
import type { Daemon } from './daemon.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

/** How a command of the command line ended. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const addressOf = (daemon: Pick<Daemon, 'url' | 'apiKey'> | undefined): Record<string, string> =>
  daemon === undefined ? {} : { BACKEND_URL: daemon.url, API_KEY: daemon.apiKey };

/** Runs `agrinet ...args` as a process against a daemon, or with settings of its own. */
export async function agrinet(
  daemon: Pick<Daemon, 'url' | 'apiKey'> | undefined,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...compileCache(),
      ...addressOf(daemon),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A command that should have ended, and a daemon that should not have started, must not outlive the test.
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Environment, output and exit code are the process's: one command has them at a time. */
const inTurn = new SerialQueue();

/**
 * Runs `agrinet ...args` in this process: the same commands with an environment and an output of their own, without the half second that
 * a process takes to load them. For those that end by themselves and ask no terminal.
 */
export function agrinetHere(
  daemon: Pick<Daemon, 'url' | 'apiKey'> | undefined,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliResult> {
  return inTurn.run(async () => {
    const said = { stdout: '', stderr: '' };
    const umask = process.umask(0o077); // as the command line does
    const undo = [
      () => process.umask(umask),
      replace(process, 'env', { PATH: process.env['PATH'], ...addressOf(daemon), ...env }),
      replace(process, 'exitCode', undefined),
      replace(stdout, 'write', (text) => void (said.stdout += text)),
      replace(process.stderr, 'write', (text) => (said.stderr += String(text)) !== ''),
      replace(console, 'error', (text) => void (said.stderr += `${String(text)}\n`)),
    ];
    try {
      await runCommandLine(args);
      return { code: Number(process.exitCode ?? 0), ...said };
    } finally {
      for (const step of undo) step();
    }
  });
}

/** Puts something in a property's place; returns what puts it back. */
function replace<T extends object, K extends keyof T>(target: T, key: K, value: T[K]): () => void {
  const { [key]: before } = target;
  target[key] = value;
  return () => (target[key] = before);
}
