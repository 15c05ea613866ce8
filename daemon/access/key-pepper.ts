import { join } from 'node:path';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { createSecretFile, readSecretFile } from '../secret-file.ts';

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
): Promise<string> {
  if (inUse) return requirePepper(dataDir);
  const path = keyPepperPath(dataDir);
  const existing = await readPepper(path);
  if (existing !== undefined) return existing;
  const pepper = Buffer.from(bytes(32)).toString('base64url');
  if (await createSecretFile(path, `${pepper}\n`)) return pepper;
  const other = await readPepper(path);
  if (other === undefined) throw invalid(path);
  return other;
}

/** The secret of the keyed hash that keys were hashed with. Throws `key-pepper-invalid` when it is gone or damaged. */
export async function requirePepper(dataDir: string): Promise<string> {
  const path = keyPepperPath(dataDir);
  const pepper = await readPepper(path);
  if (pepper !== undefined) return pepper;
  throw new AgrinetError(
    'key-pepper-invalid',
    `${path} is missing, and the API keys in the database are hashed with it. Restore it from a backup; ` +
      `to give those keys up, make a new one: (umask 077; openssl rand -base64 32 > ${path})`,
  );
}

async function readPepper(path: string): Promise<string | undefined> {
  const text = (await readSecretFile(path, 'key-pepper-invalid'))?.trim();
  if (text !== undefined && !/^[\x21-\x7e]{32,256}$/.test(text)) throw invalid(path);
  return text;
}

function invalid(path: string): AgrinetError {
  return new AgrinetError(
    'key-pepper-invalid',
    `${path} does not contain a secret of 32 to 256 visible characters. Restore it from a backup.`,
  );
}
