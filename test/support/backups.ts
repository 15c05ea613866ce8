import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { agrinetHere } from './cli.ts';

export const PASSPHRASE = 'lorry maize nine market scale';

/** Every path below a folder with its mode and hash: equal before and after means that nothing changed. `[]` when it is not there. */
export function listing(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((each) => {
      const path = join(each.parentPath, each.name);
      const { mode } = lstatSync(path);
      const hash = each.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
      return `${relative(folder, path)} ${mode.toString(8)} ${hash}`;
    })
    .sort();
}

/** What `agrinet restore --json` prints. */
export interface RestoreReport {
  readonly peerId: string;
  readonly digest: string;
  readonly createdAt: number;
  readonly records: number;
  readonly entries: number;
  readonly keyFiles: readonly string[];
  readonly pepperMissing: boolean;
}

/** Restores into a folder. Throws with what the command said when it failed. */
export async function restore(dir: string, file: string, ...args: string[]): Promise<RestoreReport> {
  const { code, stdout, stderr } = await agrinetHere(undefined, ['restore', file, '--json', ...args], {
    DATA_DIR: dir,
    BACKUP_PASSPHRASE: PASSPHRASE,
  });
  if (code !== 0) throw new Error(`restore ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as RestoreReport;
}
