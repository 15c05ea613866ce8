import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const INSTALLER = fileURLToPath(new URL('../../systemd/install.sh', import.meta.url));

/** How the installer ended, and what it said. */
export interface Installed {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs systemd/install.sh. */
export async function install(
  args: readonly string[],
  env: Record<string, string> = {},
  script = INSTALLER,
): Promise<Installed> {
  const child = spawn(script, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Why units cannot be checked here, with the cure, or undefined. */
export function analyzeLacking(): string | undefined {
  const { error, stdout } = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return 'no systemd-analyze here; install it with: apt-get install systemd';
  const version = Number(/systemd (\d+)/.exec(stdout)?.[1] ?? 0);
  return version >= 250 ? undefined : `systemd ${version} cannot check units offline; 250 or later can`;
}

/** Puts into a staged folder what units refer to and every image has: systemd's own units, and Perl. */
export function addSystem(root: string): void {
  for (const path of ['/usr/lib/systemd/system', '/usr/bin/perl']) {
    if (existsSync(join(root, path))) continue;
    mkdirSync(join(root, path, '..'), { recursive: true });
    cpSync(path, join(root, path), { recursive: true, verbatimSymlinks: true });
  }
}
