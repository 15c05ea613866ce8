import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own for one test; removed with `remove`. */
export function tempDir(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `agrinet-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
