import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agrinet } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Runs a command with a home folder, whose compiled code nobody has named a place for; what it prints. */
async function printed(home: string, env: Record<string, string> = {}): Promise<string> {
  const named = process.env['NODE_COMPILE_CACHE'];
  delete process.env['NODE_COMPILE_CACHE'];
  try {
    const { code, stdout } = await agrinet(undefined, ['--version'], { HOME: home, ...env });
    expect(code).toBe(0);
    return stdout;
  } finally {
    if (named !== undefined) process.env['NODE_COMPILE_CACHE'] = named;
  }
}

/** As `printed`; what is in its cache folder then. */
async function kept(home: string, env: Record<string, string> = {}): Promise<string[]> {
  await printed(home, env);
  const folder = join(env['XDG_CACHE_HOME'] ?? join(home, '.cache'), 'agrinet');
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

let home: ReturnType<typeof tempDir>;
beforeEach(() => {
  home = tempDir('home');
});
afterEach(() => home.remove());

describe('what V8 has compiled is kept', () => {
  it('in the user’s own cache folder, which nobody else can write to', async () => {
    expect(await kept(home.path)).not.toEqual([]);
    expect(statSync(join(home.path, '.cache/agrinet')).mode & 0o777).toBe(0o700);
  });

  it('for the threads of the process too', async () => {
    const thread = `import { getCompileCacheDir } from 'node:module';
      import { isMainThread, Worker } from 'node:worker_threads';
      if (isMainThread) process.once('beforeExit', () => new Worker(new URL(import.meta.url)));
      else console.log(getCompileCacheDir());`;
    const file = join(home.path, 'thread.mjs');
    writeFileSync(file, thread);
    const told = await printed(home.path, { NODE_OPTIONS: `--import=${file}` });
    expect(told).toContain(join(home.path, '.cache/agrinet'));
  });

  it('where XDG_CACHE_HOME says', async () => {
    expect(await kept(home.path, { XDG_CACHE_HOME: join(home.path, 'elsewhere') })).not.toEqual([]);
    expect(readdirSync(home.path)).toEqual(['elsewhere']);
  });

  it('not in a folder that others can write to, nor below a relative path', async () => {
    mkdirSync(join(home.path, '.cache/agrinet'), { recursive: true });
    chmodSync(join(home.path, '.cache/agrinet'), 0o775);
    expect(await kept(home.path)).toEqual([]);
    expect(await kept('relative')).toEqual([]);
    expect(await kept('')).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)(
    'not in the home of somebody else, whom sudo has left in HOME',
    async () => {
      chownSync(home.path, 65_534, 65_534);
      expect(await kept(home.path)).toEqual([]);
      expect(readdirSync(home.path)).toEqual([]);
    },
  );
});
