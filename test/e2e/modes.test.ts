import { chmodSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';

/** As a shell starts a program whose files everybody may read. */
const OPEN_UMASK = ['sh', '-c', 'umask 022; exec "$@"', 'sh'];

/** Everything in a folder that others than its owner can read or change. */
function openIn(folder: string): string[] {
  const open: string[] = [];
  for (const name of ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
    const { mode } = lstatSync(join(folder, name));
    if ((mode & 0o077) !== 0) open.push(`${name} ${(mode & 0o777).toString(8)}`);
  }
  return open;
}

test.skipIf(process.platform === 'win32')(
  'a daemon under umask 022 in a DATA_DIR of mode 755 leaves nothing that others can read, also of an earlier release',
  async () => {
    const dir = tempDir('modes');
    const data = join(dir.path, 'data');
    mkdirSync(data, { mode: 0o755 });
    chmodSync(data, 0o755);
    try {
      let daemon = await startDaemon(data, {}, OPEN_UMASK);
      await daemon.json('POST', '/listings', { type: 'offer', title: 'private by mode' });
      expect(openIn(data)).toEqual([]);
      expect(await daemon.stop()).toBe(0);
      expect(openIn(data)).toEqual([]);

      // What an earlier release, or a copy, has left open.
      for (const name of readdirSync(join(data, 'db'))) chmodSync(join(data, 'db', name), 0o644);
      for (const [path, mode] of [
        ['db', 0o755],
        ['.', 0o755],
        ['initialized', 0o644],
      ] as const)
        chmodSync(join(data, path), mode);
      writeFileSync(join(data, 'db', 'LOG.old'), 'an old log', { mode: 0o644 });
      expect(openIn(data).length).toBeGreaterThan(5);
      daemon = await startDaemon(data, {}, OPEN_UMASK);
      expect(daemon.output()).toContain(
        'files in DATA_DIR were readable by others; their permissions were corrected',
      );
      expect(openIn(data)).toEqual([]);
      expect(await daemon.stop()).toBe(0);
    } finally {
      dir.remove();
    }
  },
  120_000,
);
