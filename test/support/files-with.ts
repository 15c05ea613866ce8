import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of a folder, the database's and its logs among them, that hold these bytes. */
export function filesWith(dir: string, text: string): string[] {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name));
  try {
    return files.filter((file) => readFileSync(file).includes(text));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    // LevelDB has taken a file away meanwhile: what was in it stands in another now.
    return filesWith(dir, text);
  }
}
