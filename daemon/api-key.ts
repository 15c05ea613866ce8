import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';
import { createSecretFile, readSecretFile } from './secret-file.ts';
import type { Settings } from './settings.ts';

/** Where the key made at first start is: `DATA_DIR/api-key`. */
export function apiKeyPath(dataDir: string): string {
  return join(dataDir, 'api-key');
}

/** The daemon's key: API_KEY, else the file's, which is made at first start (0600, 32 random bytes in base64url). */
export async function loadOrCreateApiKey(
  dataDir: string,
  settings: Pick<Settings, 'apiKey'>,
): Promise<string> {
  if (settings.apiKey !== undefined) return settings.apiKey;
  const existing = await readKeyFile(dataDir);
  if (existing !== undefined) return existing;
  const key = randomBytes(32).toString('base64url');
  if (await createSecretFile(apiKeyPath(dataDir), `${key}\n`)) return key;
  const other = await readKeyFile(dataDir);
  if (other === undefined) throw invalid(apiKeyPath(dataDir));
  return other;
}

/** The key the command line sends to a daemon on this host: API_KEY, else the file's; undefined when there is none. */
export async function readLocalApiKey(
  settings: Pick<Settings, 'apiKey' | 'dataDir'>,
): Promise<string | undefined> {
  return settings.apiKey ?? (await readKeyFile(settings.dataDir));
}

async function readKeyFile(dataDir: string): Promise<string | undefined> {
  const path = apiKeyPath(dataDir);
  const text = await readSecretFile(path, 'api-key-invalid');
  if (text === undefined) return undefined;
  const key = text.trim();
  if (!/^[\x21-\x7e]{8,256}$/.test(key)) throw invalid(path);
  return key;
}

function invalid(path: string): AgrinetError {
  const advice = 'Delete the file to have a new key made at the next start, or set API_KEY.';
  return new AgrinetError(
    'api-key-invalid',
    `${path} holds no key of 8 to 256 visible characters. ${advice}`,
  );
}
