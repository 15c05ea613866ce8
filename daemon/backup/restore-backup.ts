import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Env, every } from '../../protocols/env.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { type ReadBackup, readBackup, refuseNewer } from '../../storage/backup/backup-file.ts';
import { loadBackup } from '../../storage/backup/load.ts';
import { type KeyFiles, decryptKeys } from '../../storage/backup/encrypted-keys.ts';
import { KEYSPACE } from '../../storage/keyspace.ts';
import { LAYOUT } from '../../storage/migrations.ts';
import { storageError } from '../../storage/storage-error.ts';
import { keyPepperPath } from '../access/key-pepper.ts';
import { identityPath, parseIdentity } from '../identity-file.ts';
import { readSecretFile } from '../secret-file.ts';
import { keyNames } from './key-files.ts';
import { beginBuilding, ownKeyNames, refuseOccupied } from './restore-folder.ts';

export interface RestoreOptions {
  readonly file: string;
  readonly dataDir: string;
  /** Asked for when there are keys in the backup, after it was found whole. Without it they stay there. */
  readonly passphrase?: (() => Promise<string>) | undefined;
  readonly env: Pick<Env, 'now' | 'bytes' | 'after'>;
  /** From 0 to 1; first of checking the file, then of loading it. */
  readonly onProgress: (step: 'checking' | 'restoring', done: number) => void;
}

export interface RestoredBackup extends ReadBackup {
  readonly entries: number;
  /** Names of the key files that were restored. */
  readonly keyFiles: readonly string[];
  /** API keys were restored without the secret with which they are hashed: the daemon will not start without it. */
  readonly pepperMissing: boolean;
}

/** How often the progress of loading is reported. */
const PROGRESS_MS = 100;

/**
 * Restores a backup into an empty DATA_DIR. The whole file, the passphrase and whose it is are checked before anything is written;
 * whatever fails after that is taken back. Cut off at any moment it can be run again, and no daemon starts meanwhile.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoredBackup> {
  const { file, dataDir, env, onProgress } = options;
  try {
    await refuseOccupied(dataDir);
    const size = await sizeOf(file);
    const count = { entries: 0, apiKeys: 0 };
    const checking = open(file);
    const checked = await readBackup(checking, {
      manifest: (manifest) => refuseNewer(manifest, LAYOUT),
      pairs: async (pairs) => {
        for (const [key] of pairs) {
          if (key.startsWith(`${KEYSPACE.entries.prefix}!`)) count.entries++;
          if (key.startsWith(`${KEYSPACE.apiKeys.prefix}!`)) count.apiKeys++;
        }
        onProgress('checking', checking.bytesRead / size);
      },
    });
    const keys = await keysToPlace(checked, options);
    const building = await beginBuilding(dataDir, env.now);
    try {
      const loading = open(file);
      const progress = every(env, PROGRESS_MS, () => onProgress('restoring', loading.bytesRead / size));
      const loaded = await loadBackup(loading, building.folder, env).finally(() => progress.cancel());
      if (loaded.manifest.digest !== checked.manifest.digest)
        throw new AgrinetError(
          'backup-damaged',
          'the file changed while it was being read. Run the command again.',
        );
      await refuseOccupied(dataDir);
      await building.finish(keys);
    } catch (error) {
      await building.undo();
      throw error;
    }
    const pepper = await readSecretFile(keyPepperPath(dataDir), 'key-pepper-invalid');
    const pepperMissing = count.apiKeys > 0 && pepper === undefined;
    return { ...checked, entries: count.entries, keyFiles: Object.keys(keys), pepperMissing };
  } catch (error) {
    throw named(file, error);
  }
}

/**
 * The keys that come out of the backup; those that lie in DATA_DIR stay and have to be the same. Throws `backup-foreign`,
 * `identity-invalid`, `passphrase-wrong`, `folder-not-empty`.
 */
async function keysToPlace(
  { manifest, manifestBytes, keys: encrypted }: ReadBackup,
  { dataDir, passphrase }: RestoreOptions,
): Promise<KeyFiles> {
  const own = await ownKeyNames(dataDir);
  const identityName = identityPath('');
  const there = own.includes(identityName)
    ? await readSecretFile(join(dataDir, identityName), 'identity-invalid')
    : undefined;
  if (there !== undefined) refuseForeign(identityPath(dataDir), there, manifest.peerId);
  const taken =
    encrypted !== undefined && passphrase !== undefined
      ? await decryptKeys(encrypted, await passphrase(), manifestBytes)
      : {};
  // Whoever knew the passphrase may have put in what else DATA_DIR takes its bearings from.
  const foreign = Object.keys(taken).find((name) => !keyNames().includes(name));
  if (foreign !== undefined)
    throw new AgrinetError(
      'backup-damaged',
      `it contains ${foreign}, which is not a key file of a node. Make another backup.`,
    );
  const brought = taken[identityName];
  if (brought !== undefined) refuseForeign('the identity in the backup', brought, manifest.peerId);
  if (there === undefined && brought === undefined)
    throw new AgrinetError(
      'identity-invalid',
      `there is no key of ${manifest.peerId}: put its identity.json into ${dataDir} (chmod 600), or use a backup made with --with-keys.`,
    );
  const place: Record<string, string> = {};
  for (const [name, text] of Object.entries(taken)) {
    if (!own.includes(name)) place[name] = text;
    else if (name !== identityName) {
      const path = join(dataDir, name);
      if ((await readSecretFile(path, 'folder-not-empty'))?.trim() !== text.trim())
        throw new AgrinetError(
          'folder-not-empty',
          `${path} differs from the one in the backup. Move it away if it is the wrong one, or restore with --without-keys.`,
        );
    }
  }
  return place;
}

function refuseForeign(where: string, text: string, peerId: string): void {
  const found = parseIdentity(where, text).peerId;
  if (found === peerId) return;
  throw new AgrinetError(
    'backup-foreign',
    `the backup is of ${peerId}, but ${where} is ${found}. Take that node's own backup, or set DATA_DIR.`,
  );
}

function open(file: string) {
  return createReadStream(file, { highWaterMark: 256 * 1024 });
}

async function sizeOf(file: string): Promise<number> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new Error('is no file');
    return found.size;
  } catch (error) {
    throw new AgrinetError('usage', `${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}

/** An error in the file already names it, as does one in the folder. */
function named(file: string, error: unknown): unknown {
  if (!(error instanceof AgrinetError)) return storageError(error);
  const ofFile = ['backup-damaged', 'backup-newer', 'backup-foreign', 'passphrase-wrong'];
  return ofFile.includes(error.code)
    ? new AgrinetError(error.code, `${file}: ${error.message}`, { cause: error })
    : error;
}
