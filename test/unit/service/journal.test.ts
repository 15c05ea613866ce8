import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { createLogger } from '../../../daemon/logger.ts';
import { isJournal, withPriorities } from '../../../daemon/service/journal.ts';
import { compileCache } from '../../support/compile-cache.ts';
import { tempDir } from '../../support/temp-dir.ts';

const BIN = fileURLToPath(new URL('../../../daemon/agrinet.mjs', import.meta.url));
const dir = tempDir('journal');
afterAll(() => dir.remove());

/** What a command prints on both its outputs, which are one file; with JOURNAL_STREAM it is told that the journal reads it. */
function printed(args: readonly string[], toJournal: boolean, env: Record<string, string>): string[] {
  const path = join(dir.path, `out-${toJournal}`);
  const fd = openSync(path, 'w');
  try {
    const { dev, ino } = fstatSync(fd);
    spawnSync(process.execPath, [BIN, ...args], {
      env: {
        ...compileCache(),
        ...env,
        ...(toJournal ? { JOURNAL_STREAM: `${dev}:${ino}` } : { JOURNAL_STREAM: `${dev}:1` }),
      },
      stdio: ['ignore', fd, fd],
    });
  } finally {
    closeSync(fd);
  }
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

test('each line has the priority of its level before it, and is JSON otherwise', () => {
  const lines: string[] = [];
  const logger = createLogger(
    { logLevel: 'trace' },
    withPriorities({ write: (line) => void lines.push(line) }),
  );
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) logger[level]('said');
  expect(lines.map((line) => line.slice(0, 3))).toEqual(['<7>', '<7>', '<6>', '<4>', '<3>', '<2>']);
  expect(JSON.parse(lines[3]?.slice(3) ?? '')).toMatchObject({ level: 40, msg: 'said' });
});

test('every line of an error that ends a command has it, where the journal reads the output', () => {
  const env = { PORT: 'x', MYCELIUM_PORT: 'y' };
  const plain = printed(['start'], false, env);
  expect(plain).toHaveLength(3);
  expect(printed(['start'], true, env)).toEqual(plain.map((line) => `<3>${line}`));
});

test('a pipe, a terminal or another file is not the journal', () => {
  expect(isJournal(1, {})).toBe(false);
  expect(isJournal(1, { JOURNAL_STREAM: '1:2' })).toBe(false);
});
