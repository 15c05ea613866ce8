import { join } from 'node:path';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { createSecretFile, readSecretFile } from './secret-file.ts';
import type { Settings } from './settings.ts';

/** Where the key made at first start is: `DATA_DIR/api-key`. */
export function apiKeyPath(dataDir: string): string {
  return join(dataDir, 'api-key');
}

/** The daemon's key, and how it comes to be known. */
export interface OwnApiKey {
  readonly key: string;
  /** Writes the file where it does not exist yet (0600); nobody knows the key before. Does nothing when called again. */
  readonly publish: () => Promise<void>;
}

/**
 * The daemon's key: API_KEY, else the file's. At the first start one is made, 32 random bytes in base64url; its file appears with
 * `publish`, which waits for a clock that can be right: until then this node gives out no key.
 */
export async function openApiKey(
  dataDir: string,
  settings: Pick<Settings, 'apiKey'>,
  { bytes }: Pick<Env, 'bytes'>,
): Promise<OwnApiKey> {
  const known = settings.apiKey ?? (await readKeyFile(dataDir));
  if (known !== undefined) return { key: known, publish: async () => undefined };
  const key = Buffer.from(bytes(32)).toString('base64url');
  let written = false;
  return {
    key,
    publish: async () => {
      if (written) return;
      // The identity's lock is held, so nobody else creates one here. A key that the operator has put there meanwhile is used from the
      // next start on.
      await createSecretFile(apiKeyPath(dataDir), `${key}\n`);
      written = true;
    },
  };
}

/** The key that the command line sends to a daemon on this host: API_KEY, else the file's; undefined when there is none. */
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
    `${path} does not contain a key of 8 to 256 visible characters. ${advice}`,
  );
}
