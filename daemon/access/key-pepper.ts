import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { AgrinetError } from '../../protocols/errors.ts';
import { createSecretFile, readSecretFile } from '../secret-file.ts';

/** Where the secret is that API keys are hashed with: not in the database, so that a copy of that alone is of no use. */
export function keyPepperPath(dataDir: string): string {
  return join(dataDir, 'key-pepper');
}

/**
 * The secret of the keyed hash, made at first use (0600). Throws `key-pepper-invalid` when it is gone although keys were hashed
 * with it: with a new one every one of them would be refused without a word.
 */
export async function loadOrCreatePepper(dataDir: string, inUse: boolean): Promise<string> {
  const path = keyPepperPath(dataDir);
  const existing = await readPepper(path);
  if (existing !== undefined) return existing;
  if (inUse)
    throw new AgrinetError(
      'key-pepper-invalid',
      `${path} is gone, and the API keys in the database are hashed with it. Put it back from a backup; ` +
        `to give those keys up, make a new one: (umask 077; openssl rand -base64 32 > ${path})`,
    );
  const pepper = randomBytes(32).toString('base64url');
  if (await createSecretFile(path, `${pepper}\n`)) return pepper;
  const other = await readPepper(path);
  if (other === undefined) throw invalid(path);
  return other;
}

async function readPepper(path: string): Promise<string | undefined> {
  const text = (await readSecretFile(path, 'key-pepper-invalid'))?.trim();
  if (text !== undefined && !/^[\x21-\x7e]{32,256}$/.test(text)) throw invalid(path);
  return text;
}

function invalid(path: string): AgrinetError {
  return new AgrinetError(
    'key-pepper-invalid',
    `${path} holds no secret of 32 to 256 visible characters. Put it back from a backup.`,
  );
}
