import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { restoreBackup } from '../../../daemon/backup/restore-backup.ts';
import { identityPath, loadOrCreateIdentity } from '../../../daemon/identity-file.ts';
import { Digests } from '../../../storage/digests.ts';
import { withKeys, writeBackup } from '../../../storage/backup/backup-file.ts';
import { encryptKeys } from '../../../storage/backup/encrypted-keys.ts';
import { LAYOUT } from '../../../storage/migrations.ts';
import { tempDir } from '../../support/temp-dir.ts';

const passphrase = 'lorry maize nine market scale';
let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('restore-keys');
});
afterEach(() => dir.remove());

/** Restores a backup of an empty database with the identity and one more file among its keys. */
async function restoredWith(name: string): Promise<string[]> {
  const from = join(dir.path, 'from');
  const identity = await loadOrCreateIdentity(from, systemEnv);
  const files = { 'identity.json': readFileSync(identityPath(from), 'utf8'), [name]: '000000000fff\n' };
  const about = { format: 1, layout: LAYOUT, agrinetd: '0.1.0', peerId: identity.peerId } as const;
  const manifest = {
    ...about,
    network: 'test',
    createdAt: 0,
    withKeys: true,
    digest: new Digests().total(),
  };
  async function* nothing(): AsyncGenerator<never> {}
  const plain = writeBackup(identity, manifest, nothing());
  const file = join(dir.path, 'backup');
  await writeFile(
    file,
    withKeys(plain, identity, (bytes) => encryptKeys(files, passphrase, bytes, systemEnv)),
  );
  const { keyFiles } = await restoreBackup({
    file,
    dataDir: join(dir.path, 'data'),
    passphrase: async () => passphrase,
    env: { ...systemEnv, now: () => 0 },
    onProgress: () => undefined,
  });
  return [...keyFiles];
}

it('puts keys into DATA_DIR', async () => {
  expect(await restoredWith('key-pepper')).toEqual(['identity.json', 'key-pepper']);
});

it('puts nothing else there, whatever a backup calls a key', async () => {
  for (const name of ['head', 'notes'])
    await expect(restoredWith(name), name).rejects.toMatchObject({ code: 'backup-damaged' });
  expect(existsSync(join(dir.path, 'data'))).toBe(false);
});
