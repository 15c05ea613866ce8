import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Env } from '../protocols/env.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import { AgrinetError, errorCode, systemCode } from '../protocols/errors.ts';
import { parsePeerId, type PeerId } from '../protocols/wire/identity.ts';
import { decryptKeys, encryptKeys } from '../storage/backup/encrypted-keys.ts';
import { jsonOf } from '../storage/backup/format.ts';
import { Database, type DatabaseEnv } from '../storage/database.ts';
import { range } from '../storage/keyspace.ts';
import { soundJson } from '../storage/values.ts';
import { identityPath, parseIdentity } from './identity-file.ts';
import { createSecretFile, readSecretFile } from './secret-file.ts';
import { refuseExisting, writeWhole } from './whole-file.ts';

/** An exported identity: a line that says whose it is, and a line with the key, encrypted as those in a backup are. */
const head = z.strictObject({
  type: z.literal('agrinet-identity'),
  version: z.literal(1),
  peerId: z.string(),
});
/** The key of one node takes less than one kilobyte. */
const MAX_BYTES = 16 * 1024;
const NAME = 'identity.json';

export interface ExportOptions {
  readonly dataDir: string;
  readonly file: string;
  /** Replace a file that is there. */
  readonly force: boolean;
  readonly passphrase: string;
  readonly env: Pick<Env, 'bytes'>;
}

/**
 * Writes the node key into a file, encrypted with a passphrase, and decrypts it again before the file gets its name. Throws
 * `identity-invalid`, `usage`, `disk-full`, `folder-unwritable`.
 */
export async function exportIdentity(options: ExportOptions): Promise<PeerId> {
  const { dataDir, file, force, passphrase, env } = options;
  await refuseExisting(file, force);
  const path = identityPath(dataDir);
  const text = await readSecretFile(path, 'identity-invalid');
  if (text === undefined)
    throw new AgrinetError('identity-invalid', `there is no ${path}. Set DATA_DIR to the node's folder.`);
  const { peerId } = parseIdentity(path, text);
  const whose = new TextEncoder().encode(JSON.stringify({ type: 'agrinet-identity', version: 1, peerId }));
  const box = await encryptKeys({ [NAME]: text }, passphrase, whose, env);
  await writeWhole(file, lines(whose, box), async (partial) => {
    const read = await readExported(partial, () => Promise.resolve(passphrase));
    if (read.text !== text) throw new AgrinetError('internal', 'the exported key is another one');
  });
  return peerId;
}

export interface ImportOptions {
  readonly dataDir: string;
  readonly file: string;
  /** Asked for when the file is an exported identity. */
  readonly passphrase: () => Promise<string>;
  /** Take it for a database in which this node has written nothing. */
  readonly force: boolean;
  readonly env: DatabaseEnv;
}

export interface ImportedIdentity {
  readonly peerId: PeerId;
  /** False when DATA_DIR has this very key already. */
  readonly isNew: boolean;
}

/**
 * Puts an exported key into DATA_DIR. Never in the place of another key, nor beside a database in which this node has written nothing:
 * `backup-foreign`. Throws as well `backup-damaged`, `passphrase-wrong`, `identity-invalid`, `database-locked`.
 */
export async function importIdentity(options: ImportOptions): Promise<ImportedIdentity> {
  const { dataDir, file, passphrase } = options;
  const path = identityPath(dataDir);
  const { peerId, text } = await readExported(file, passphrase);
  const there = await readSecretFile(path, 'identity-invalid');
  if (there === undefined) {
    await refuseForeignDatabase(peerId, options);
    if (await createSecretFile(path, text)) return { peerId, isNew: true };
  }
  const placed = there ?? (await readSecretFile(path, 'identity-invalid')) ?? '';
  const other = parseIdentity(path, placed).peerId;
  if (other === peerId) return { peerId, isNew: false };
  throw new AgrinetError(
    'backup-foreign',
    `${file} is the identity of ${peerId}, but ${path} is ${other}. Set another DATA_DIR.`,
  );
}

/** With the key of another node, nothing in this database could be changed again by its owner, and that node would seem to have lost all. */
async function refuseForeignDatabase(
  peerId: PeerId,
  { dataDir, force, env }: Pick<ImportOptions, 'dataDir' | 'force' | 'env'>,
): Promise<void> {
  if (force || !(await exists(join(dataDir, 'initialized')))) return;
  const db = await Database.open(dataDir, env, { create: false, repair: false });
  try {
    const authors = new Set<string | undefined>();
    for await (const [key, value] of db.level.iterator(range('feeds')))
      authors.add(soundJson<FeedState>(key, value)?.author);
    if (authors.size === 0 || authors.has(peerId)) return;
  } finally {
    await db.close();
  }
  throw new AgrinetError(
    'backup-foreign',
    `the database in ${dataDir} holds nothing that ${peerId} has signed: it seems to be another node's. Set another DATA_DIR, or use --force if that node has never written anything.`,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function* lines(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    yield part;
    yield Uint8Array.of(LF);
  }
}
const LF = 0x0a;

/** The key in an exported file, and whose it is; what is around it is signed by nobody, so the key itself has to be that one. */
async function readExported(
  file: string,
  passphrase: () => Promise<string>,
): Promise<{ readonly peerId: PeerId; readonly text: string }> {
  const bytes = await readSmall(file);
  const end = bytes.indexOf(LF);
  const whose = bytes.subarray(0, Math.max(end, 0));
  const peerId = parsePeerId(head.safeParse(jsonOf(whose)).data?.peerId);
  if (peerId === undefined || bytes.at(-1) !== LF) throw damaged(file);
  const asked = await passphrase();
  const keys = await decryptKeys(bytes.subarray(end + 1, -1), asked, whose).catch((error: unknown) => {
    if (errorCode(error) !== 'passphrase-wrong') throw damaged(file, error);
    throw new AgrinetError('passphrase-wrong', `the passphrase does not decrypt ${file}.`, { cause: error });
  });
  const text = keys[NAME];
  if (text === undefined || Object.keys(keys).length !== 1) throw damaged(file);
  if (parseIdentity(`the key in ${file}`, text).peerId !== peerId) throw damaged(file);
  return { peerId, text };
}

async function readSmall(file: string): Promise<Buffer> {
  try {
    const there = await stat(file);
    if (!there.isFile()) throw new AgrinetError('usage', `${file} is not a regular file.`);
    if (there.size > MAX_BYTES) throw damaged(file);
    return await readFile(file);
  } catch (error) {
    if (error instanceof AgrinetError) throw error;
    throw new AgrinetError('usage', `cannot read ${file} (${systemCode(error) ?? 'see its cause'})`, {
      cause: error,
    });
  }
}

function damaged(file: string, cause?: unknown): AgrinetError {
  const message = `${file} is not a complete file of \`agrinet identity export\`. Export it again.`;
  return new AgrinetError('backup-damaged', message, { cause });
}
