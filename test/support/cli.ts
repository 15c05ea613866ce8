import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { compileCache } from './compile-cache.ts';
import type { Daemon } from './daemon.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));

/** How a command of the command line ended. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

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
      ...(daemon === undefined ? {} : { BACKEND_URL: daemon.url, API_KEY: daemon.apiKey }),
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
