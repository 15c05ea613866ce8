import { join } from 'node:path';
import { z } from 'zod';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { identityFromSeed, type Identity } from '../protocols/wire/identity.ts';
import { createSecretFile, readSecretFile } from './secret-file.ts';

const format = z.strictObject({
  version: z.literal(1),
  type: z.literal('ed25519'),
  seed: z.base64().length(44),
});

/** Where the node's key is: `DATA_DIR/identity.json`. */
export function identityPath(dataDir: string): string {
  return join(dataDir, 'identity.json');
}

/**
 * The identity in the folder; undefined when it has none. Throws `identity-invalid` when the file is damaged or
 * readable by others: a new key in its place would be another node, so that is never done for the operator.
 */
export async function readIdentity(dataDir: string): Promise<Identity | undefined> {
  const path = identityPath(dataDir);
  const text = await readSecretFile(path, 'identity-invalid');
  return text === undefined ? undefined : parseIdentity(path, text);
}

/** The identity in the folder, made at first start (mode 0600). Throws as `readIdentity`, `folder-unwritable` and `disk-full`. */
export async function loadOrCreateIdentity(
  dataDir: string,
  { bytes }: Pick<Env, 'bytes'>,
): Promise<Identity> {
  const existing = await readIdentity(dataDir);
  if (existing !== undefined) return existing;
  const seed = bytes(32);
  const text = Buffer.from(seed).toString('base64');
  const content = `${JSON.stringify({ version: 1, type: 'ed25519', seed: text })}\n`;
  if (await createSecretFile(identityPath(dataDir), content)) return identityFromSeed(seed);
  const other = await readIdentity(dataDir);
  if (other === undefined) throw invalid(identityPath(dataDir));
  return other;
}

/** The identity in the text of such a file. Throws `identity-invalid`. */
export function parseIdentity(path: string, text: string): Identity {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(path); // not with its cause: a JSON error quotes the text, which is the key
  }
  const result = format.safeParse(value);
  if (!result.success) throw invalid(path);
  const seed = Buffer.from(result.data.seed, 'base64');
  if (seed.length !== 32) throw invalid(path);
  return identityFromSeed(seed);
}

function invalid(path: string): AgrinetError {
  const advice = 'Restore it from your backup; to start as a new node, move DATA_DIR away.';
  return new AgrinetError(
    'identity-invalid',
    `${path} does not contain an Ed25519 identity of version 1. ${advice}`,
  );
}
