import { basename, join } from 'node:path';
import { AgrinetError } from '../../protocols/errors.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { KeyFiles } from '../../storage/backup/encrypted-keys.ts';
import { apiKeyPath } from '../api-key.ts';
import { keyPepperPath } from '../access/key-pepper.ts';
import { SOURCE_KEYS_BYTES, sourceKeysPath } from '../federation/source-keys.ts';
import { identityPath, readIdentity } from '../identity-file.ts';
import { readSecretFile } from '../secret-file.ts';
import type { Settings } from '../settings.ts';

/** The pre-shared network key is where MYCELIUM_PSK_FILE says; a restore puts it here. */
export const PSK_NAME = 'swarm.key';

/** The files in DATA_DIR that hold keys: what may lie there before a restore, and what `--with-keys` takes along. */
export function keyNames(): readonly string[] {
  return [identityPath(''), apiKeyPath(''), keyPepperPath(''), sourceKeysPath(''), PSK_NAME].map((path) =>
    basename(path),
  );
}

/**
 * The identity in DATA_DIR, as the node of a backup. Throws `backup-foreign` when it is another, `identity-invalid` when there is
 * none.
 */
export async function identityOf(dataDir: string, expected?: PeerId) {
  const identity = await readIdentity(dataDir);
  if (identity === undefined)
    throw new AgrinetError('identity-invalid', `there is no ${identityPath(dataDir)}. Set DATA_DIR.`);
  if (expected !== undefined && identity.peerId !== expected)
    throw new AgrinetError(
      'backup-foreign',
      `the daemon is ${expected}, but ${identityPath(dataDir)} is ${identity.peerId}. Set DATA_DIR to the daemon's folder.`,
    );
  return identity;
}

/** The texts of all key files there are. Throws what reading a secret throws. */
export async function readKeyFiles(
  settings: Pick<Settings, 'dataDir' | 'myceliumPskFile'>,
): Promise<KeyFiles> {
  const { dataDir, myceliumPskFile } = settings;
  const files: Record<string, string> = {};
  for (const name of keyNames()) {
    const path = name === PSK_NAME && myceliumPskFile !== undefined ? myceliumPskFile : join(dataDir, name);
    const text = await readSecretFile(path, 'usage', SOURCE_KEYS_BYTES);
    if (text !== undefined) files[name] = text;
  }
  return files;
}
