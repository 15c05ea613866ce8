import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { type ReadBackup, readBackup, withKeys } from '../../storage/backup/backup-file.ts';
import { type Block, MAGIC, readBlocks } from '../../storage/backup/blocks.ts';
import { decodeManifest } from '../../storage/backup/format.ts';
import { positionIn } from '../../storage/backup/records.ts';
import { decryptKeys, encryptKeys } from '../../storage/backup/encrypted-keys.ts';
import { Database } from '../../storage/database.ts';
import { refuseExisting, writeWhole } from '../whole-file.ts';
import { isLoopbackHost, type Settings } from '../settings.ts';
import { bytesOf, createBackups } from './backups.ts';
import { identityOf, readKeyFiles } from './key-files.ts';

export interface TakeOptions {
  readonly env: Pick<Env, 'now' | 'monotonic' | 'cpu' | 'bytes' | 'after'>;
  readonly file: string;
  /** Replace a file that is there. */
  readonly force: boolean;
  /** With it the keys in DATA_DIR are put in. */
  readonly passphrase?: string | undefined;
  /** From 0 to 1; first of taking it, then of reading it again. */
  readonly onProgress: (step: 'taking' | 'checking', done: number) => void;
  /** The running daemon's backup; throws `daemon-not-running`. */
  readonly fetchBackup: (withKeys: boolean) => Promise<AsyncIterable<Uint8Array>>;
}

export interface Taken extends ReadBackup {
  readonly fileBytes: number;
  /** Whether the daemon was running. */
  readonly running: boolean;
}

/**
 * Writes a backup into `FILE.partial`, reads it again whole, and only then gives it its name: from the running daemon, or from the
 * database itself when none runs. Whatever fails leaves nothing behind.
 */
export async function takeBackup(settings: Settings, options: TakeOptions): Promise<Taken> {
  const { file, force, passphrase, onProgress } = options;
  await refuseExisting(file, force);
  if (passphrase !== undefined) refuseElsewhere(settings);
  const found = await sourceOf(settings, options);
  try {
    return await writeWhole(file, found.source, check);
  } finally {
    await found.close();
  }

  async function check(partial: string): Promise<Taken> {
    const { size } = await stat(partial);
    const again = createReadStream(partial, { highWaterMark: 256 * 1024 });
    const backup = await readBackup(again, {
      pairs: async () => onProgress('checking', again.bytesRead / size),
    });
    if (backup.keys !== undefined && passphrase !== undefined)
      await decryptKeys(backup.keys, passphrase, backup.manifestBytes);
    return { ...backup, fileBytes: size, running: found.running };
  }
}

/** Keys are read here, so the daemon has to be here as well. */
function refuseElsewhere({ backendUrl }: Settings): void {
  if (isLoopbackHost(new URL(backendUrl).hostname)) return;
  throw new AgrinetError(
    'usage',
    `--with-keys reads the keys in DATA_DIR, but the daemon at ${backendUrl} is not on this machine. Run the command there.`,
  );
}

async function sourceOf(
  settings: Settings,
  { env, passphrase, fetchBackup, onProgress }: TakeOptions,
): Promise<{ source: AsyncIterable<Uint8Array>; running: boolean; close(): Promise<void> }> {
  const keyed = passphrase !== undefined;
  const { dataDir } = settings;
  let raw: AsyncIterable<Uint8Array>;
  let db: Database | undefined;
  try {
    raw = await fetchBackup(keyed);
  } catch (error) {
    const here = isLoopbackHost(new URL(settings.backendUrl).hostname);
    if (errorCode(error) !== 'daemon-not-running' || !here) throw error;
    const identity = await identityOf(dataDir);
    db = await Database.open(dataDir, env, { create: false, repair: false });
    const parts = {
      db,
      identity,
      network: settings.myceliumNetwork,
      env,
      onTaken: () => undefined,
    };
    raw = bytesOf(await createBackups(parts).open({ withKeys: keyed }));
  }
  const tapped = tap(raw, (done) => onProgress('taking', done));
  const close = async (): Promise<void> => db?.close();
  if (passphrase === undefined) return { source: tapped, running: db === undefined, close };
  // Of this very node: its keys belong in no other backup, and only they can sign its end again.
  const identity = await identityOf(dataDir);
  const source = withKeys(tapped, identity, async (manifest) => {
    await identityOf(dataDir, decodeManifest(manifest)?.peerId);
    return encryptKeys(await readKeyFiles(settings), passphrase, manifest, env);
  });
  return { source, running: db === undefined, close };
}

/** The blocks as they arrive, each checked: a broken stream is detected here. */
async function* tap(
  source: AsyncIterable<Uint8Array>,
  onPosition: (done: number) => void,
): AsyncGenerator<Uint8Array> {
  let last: Block['kind'] | undefined;
  yield MAGIC;
  for await (const { kind, payload, bytes } of readBlocks(source)) {
    if (kind === 'data') onPosition(positionIn(payload));
    last = kind;
    yield bytes;
  }
  if (last !== 'end') throw brokenOff();
}

/** The daemon ended the stream before its end. */
export function brokenOff(cause?: unknown): AgrinetError {
  return new AgrinetError(
    'daemon-not-running',
    'the daemon aborted the backup; see its log. Nothing was written.',
    { cause },
  );
}
