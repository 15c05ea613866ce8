import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { keyPepperPath, requirePepper } from '../access/key-pepper.ts';
import { danglingTarget } from '../../storage/folder.ts';
import { apiKeyPath, readLocalApiKey } from '../api-key.ts';
import { shutFolder } from '../folder-modes.ts';
import { identityPath, readIdentity } from '../identity-file.ts';
import { lockIdentity } from '../lock.ts';
import { type Settings, strayNames } from '../settings.ts';
import type { CertificateFact, FileFact, OfflineFacts } from './facts.ts';
import { freeBytes } from './free-bytes.ts';

export interface OfflineSources {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: number;
  /** What the running daemon adds; without it, none is known to run here. */
  readonly running?: {
    readonly samples: OfflineFacts['disk']['samples'];
    readonly refusal: OfflineFacts['database']['refusal'];
  };
}

/** Looks at files, disk and certificate. Changes nothing, opens no database, and throws nothing. */
export async function gatherOffline(sources: OfflineSources): Promise<OfflineFacts> {
  const { settings, env, now, running } = sources;
  const { dataDir } = settings;
  const initialized = await exists(join(dataDir, 'initialized'));
  const files = await Promise.all([
    fileFact('identity', identityPath(dataDir), initialized, async () => readIdentity(dataDir)),
    fileFact('api-key', apiKeyPath(dataDir), initialized && settings.apiKey === undefined, async () =>
      readLocalApiKey({ apiKey: undefined, dataDir }),
    ),
    fileFact('key-pepper', keyPepperPath(dataDir), initialized, async () => requirePepper(dataDir)),
  ]);
  const folder = await stat(dataDir).catch(() => undefined);
  return {
    now,
    settings,
    strayNames: strayNames(env),
    files,
    dataDirMode: folder === undefined || process.platform === 'win32' ? undefined : folder.mode & 0o7777,
    openModes: await shutFolder(dataDir, false),
    disk: {
      freeBytes: folder === undefined ? undefined : await freeBytes(dataDir),
      missing: (await danglingTarget(dataDir)) ?? dataDir,
      samples: running?.samples ?? [],
    },
    database: {
      initialized,
      present: await exists(join(dataDir, 'db', 'CURRENT')),
      damagedCopy: await exists(join(dataDir, 'db.damaged')),
      holder: running === undefined ? await holderOf(dataDir) : undefined,
      refusal: running?.refusal,
    },
    certificate: certificateFact(settings),
  };
}

async function fileFact(
  kind: FileFact['kind'],
  path: string,
  needed: boolean,
  read: () => Promise<unknown>,
): Promise<FileFact> {
  const file = await stat(path).catch(() => undefined);
  if (file === undefined) return { path, kind, present: false, needed, mode: undefined, problem: undefined };
  const mode = process.platform === 'win32' ? undefined : file.mode & 0o777;
  const problem = await read().then(
    () => undefined,
    (error: unknown) => errorMessage(error),
  );
  return { path, kind, present: true, needed, mode, problem };
}

/** Which process uses this identity: its lock is tried, and given back at once. */
async function holderOf(dataDir: string): Promise<OfflineFacts['database']['holder']> {
  try {
    const identity = await readIdentity(dataDir);
    if (identity === undefined) return undefined;
    await (await lockIdentity(identity.peerId)).release();
    return undefined;
  } catch (error) {
    // An identity that cannot be read is reported by the check of the files.
    if (!(error instanceof AgrinetError) || error.code !== 'database-locked') return undefined;
    const pid = error.details['pid'];
    return { pid: typeof pid === 'number' ? pid : undefined, message: error.message };
  }
}

function certificateFact(settings: Settings): OfflineFacts['certificate'] {
  const { tlsCertFile: path, publicUrl } = settings;
  if (path === undefined) return undefined;
  try {
    const leaf = new X509Certificate(readFileSync(path));
    const host =
      publicUrl === undefined ? undefined : new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, '$1');
    const fact: CertificateFact = {
      path,
      notBefore: leaf.validFromDate.getTime(),
      notAfter: leaf.validToDate.getTime(),
      names: host === undefined ? undefined : namesHost(leaf, host),
      host,
    };
    return fact;
  } catch (error) {
    const why = error instanceof AgrinetError ? error.message : 'it cannot be read as PEM';
    return { path, problem: `TLS_CERT_FILE: ${path}: ${why}` };
  }
}

function namesHost(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
