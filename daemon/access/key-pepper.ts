import { join } from 'node:path';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { createSecretFile, readSecretFile } from '../secret-file.ts';

/** The secret that keys are hashed with, and in its grace time the one before it: the first line of the file, and the second. */
export interface Peppers {
  readonly pepper: string;
  readonly before: string | undefined;
}

/** Where the secret is that API keys are hashed with: not in the database, so that a copy of that alone is of no use. */
export function keyPepperPath(dataDir: string): string {
  return join(dataDir, 'key-pepper');
}

/**
 * The secret of the keyed hash, created at first use (0600). With `inUse` as `requirePepper`: a new one would silently refuse every
 * key that was hashed with the old one.
 */
export async function loadOrCreatePepper(
  dataDir: string,
  inUse: boolean,
  { bytes }: Pick<Env, 'bytes'>,
): Promise<Peppers> {
  if (inUse) return requirePepper(dataDir);
  const path = keyPepperPath(dataDir);
  const existing = await readPepper(path);
  if (existing !== undefined) return existing;
  const pepper = Buffer.from(bytes(32)).toString('base64url');
  if (await createSecretFile(path, `${pepper}\n`)) return { pepper, before: undefined };
  const other = await readPepper(path);
  if (other === undefined) throw invalid(path);
  return other;
}

/** The secret of the keyed hash that keys were hashed with. Throws `key-pepper-invalid` when it is gone or damaged. */
export async function requirePepper(dataDir: string): Promise<Peppers> {
  const path = keyPepperPath(dataDir);
  const pepper = await readPepper(path);
  if (pepper !== undefined) return pepper;
  throw new AgrinetError(
    'key-pepper-invalid',
    `${path} is missing, and the API keys in the database are hashed with it. Restore it from a backup; ` +
      `to give those keys up, make a new one: (umask 077; openssl rand -base64 32 > ${path})`,
  );
}

async function readPepper(path: string): Promise<Peppers | undefined> {
  const text = (await readSecretFile(path, 'key-pepper-invalid'))?.trim();
  if (text === undefined) return undefined;
  const [pepper = '', before, ...more] = text.split(/\r?\n/);
  const isSecret = (line: string): boolean => /^[\x21-\x7e]{32,256}$/.test(line);
  if (more.length > 0 || !isSecret(pepper) || (before !== undefined && !isSecret(before)))
    throw invalid(path);
  return { pepper, before };
}

function invalid(path: string): AgrinetError {
  return new AgrinetError(
    'key-pepper-invalid',
    `${path} does not contain a secret of 32 to 256 visible characters, and at most one more on a second line. Restore it from a backup.`,
  );
}
