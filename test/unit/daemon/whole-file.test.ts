import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { refuseExisting, writeWhole } from '../../../daemon/whole-file.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

let dir: ReturnType<typeof tempDir>;
let file = '';
beforeEach(() => {
  dir = tempDir('whole-file');
  file = join(dir.path, 'backup');
});
afterEach(() => dir.remove());

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text);
}
const fine = async (): Promise<string> => 'fine';

it('replaces a link, not what it leads to, and nobody else may read the file', async () => {
  const target = join(dir.path, 'target');
  writeFileSync(target, 'untouched');
  symlinkSync(target, file);
  symlinkSync(target, `${file}.partial`);
  expect(await writeWhole(file, chunks('a', 'b'), fine)).toBe('fine');
  expect(readFileSync(target, 'utf8')).toBe('untouched');
  expect(readFileSync(file, 'utf8')).toBe('ab');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir.path).sort()).toEqual(['backup', 'target']);
});

it('tells in its own words of a folder in the place of the file, or of what it writes first', async () => {
  mkdirSync(file);
  await expect(writeWhole(file, chunks('a'), fine)).rejects.toMatchObject({ code: 'usage' });
  mkdirSync(`${file}.partial`);
  await expect(writeWhole(file, chunks('a'), fine)).rejects.toMatchObject({ code: 'usage' });
});

it('takes the place of a file only, and of that only when told to', async () => {
  await refuseExisting(file, false);
  writeFileSync(file, 'there');
  await refuseExisting(file, true);
  await expect(refuseExisting(file, false)).rejects.toMatchObject({ code: 'usage' });
  for (const other of [dir.path, '/dev/null'])
    await expect(refuseExisting(other, true)).rejects.toMatchObject({ code: 'usage' });
});

it('never gives its name to what another run is still writing', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield* chunks('half of the ');
    await released;
    yield* chunks('second');
  }
  let second: Promise<string> | undefined;
  const first = writeWhole(file, chunks('first'), async () => {
    second = writeWhole(file, slow(), fine);
    await waitFor(
      'the second',
      () => statSync(`${file}.partial`, { throwIfNoEntry: false })?.size === 12,
      5000,
    );
    return 'fine';
  });
  await expect(first).rejects.toMatchObject({ code: 'usage' });
  expect(existsSync(file)).toBe(false);
  release();
  expect(await second).toBe('fine');
  expect(readFileSync(file, 'utf8')).toBe('half of the second');
});

/** A process that writes without an end; `before` runs first. */
function endless(before: string, ...args: string[]): ChildProcess {
  const script = `${before}
    const { writeWhole } = await import(process.argv[1]);
    async function* endless() { for (;;) { yield new Uint8Array(10); await new Promise((next) => setTimeout(next, 5)); } }
    await writeWhole(process.argv[2], endless(), async () => undefined);`;
  const module = join(import.meta.dirname, '../../../daemon/whole-file.ts');
  return spawn(process.execPath, ['--input-type=module', '-e', script, module, file, ...args], {
    stdio: 'inherit',
  });
}

it.each(['SIGINT', 'SIGTERM'] as const)('leaves nothing behind when %s interrupts it', async (signal) => {
  const child = endless('');
  await waitFor(
    'it to write',
    () => (statSync(`${file}.partial`, { throwIfNoEntry: false })?.size ?? 0) > 0,
    20_000,
  );
  child.kill(signal);
  expect(await once(child, 'exit')).toEqual([null, signal]);
  expect(readdirSync(dir.path)).toEqual([]);
});

it.each(['SIGINT', 'SIGTERM'] as const)('nor when %s comes while the file is being made', async (signal) => {
  const child = endless(
    `const { promises } = await import('node:fs');
    const { open } = promises;
    promises.open = async (...args) => {
      const made = await open(...args);
      process.kill(process.pid, process.argv[3]);
      await new Promise((next) => setTimeout(next, 100));
      return made;
    };
    (await import('node:module')).syncBuiltinESMExports();`,
    signal,
  );
  expect(await once(child, 'exit')).toEqual([null, signal]);
  expect(readdirSync(dir.path)).toEqual([]);
});
