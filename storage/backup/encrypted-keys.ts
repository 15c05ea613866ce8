import { createCipheriv, createDecipheriv, scrypt, type ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { jsonOf } from './format.ts';

/** Names of key files and their text. */
export type KeyFiles = Readonly<Record<string, string>>;

/** The cost of stretching the passphrase: 128 MiB and half a second for each guess. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const;
/** The range accepted: a file must ask neither for all memory nor for next to nothing. */
const MOST_BYTES = 512 * 1024 * 1024;
const LEAST_N = 2 ** 15;

const base64 = (bytes: number) => z.base64().refine((text) => Buffer.from(text, 'base64').length === bytes);
const encrypted = z.strictObject({
  kdf: z.literal('scrypt'),
  N: z
    .number()
    .int()
    .min(LEAST_N)
    .max(2 ** 24)
    .refine((n) => Number.isInteger(Math.log2(n))),
  r: z.number().int().min(8).max(64),
  p: z.number().int().min(1).max(4),
  salt: base64(32),
  cipher: z.literal('aes-256-gcm'),
  iv: base64(12),
  tag: base64(16),
  data: z.base64().max(128 * 1024),
});
const files = z.record(z.string().regex(/^[a-z][a-z.-]{0,31}$/), z.string().max(32 * 1024));

const stretch = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

function keyOf(passphrase: string, salt: Buffer, { N, r, p }: { N: number; r: number; p: number }) {
  // The same text, however a keyboard composes it.
  return stretch(passphrase.normalize('NFC'), salt, 32, { N, r, p, maxmem: 2 * MOST_BYTES });
}

/** Encrypts key files with a passphrase, bound to a manifest: they can be decrypted only with that one. */
export async function encryptKeys(
  keys: KeyFiles,
  passphrase: string,
  manifest: Uint8Array,
  env: Pick<Env, 'bytes'>,
): Promise<Uint8Array> {
  const salt = Buffer.from(env.bytes(32));
  const iv = Buffer.from(env.bytes(12));
  const cipher = createCipheriv('aes-256-gcm', await keyOf(passphrase, salt, SCRYPT), iv);
  cipher.setAAD(manifest);
  const data = Buffer.concat([cipher.update(JSON.stringify(keys), 'utf8'), cipher.final()]);
  const text = JSON.stringify({
    kdf: 'scrypt',
    ...SCRYPT,
    salt: salt.toString('base64'),
    cipher: 'aes-256-gcm',
    iv: iv.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
    data: data.toString('base64'),
  });
  return new TextEncoder().encode(text);
}

/** Throws `passphrase-wrong`, and `backup-damaged` when there is nothing that could be decrypted. */
export async function decryptKeys(
  bytes: Uint8Array,
  passphrase: string,
  manifest: Uint8Array,
): Promise<KeyFiles> {
  const box = encrypted.safeParse(jsonOf(bytes)).data;
  if (box === undefined || 128 * box.N * box.r > MOST_BYTES)
    throw new AgrinetError(
      'backup-damaged',
      'the keys in the backup are encrypted in a way that this agrinetd does not support.',
    );
  const [salt, iv, tag, data] = [box.salt, box.iv, box.tag, box.data].map((text) =>
    Buffer.from(text, 'base64'),
  );
  if (salt === undefined || iv === undefined || tag === undefined || data === undefined)
    throw new AgrinetError('internal', 'encrypted keys without its parts');
  const decipher = createDecipheriv('aes-256-gcm', await keyOf(passphrase, salt, box), iv);
  decipher.setAAD(manifest);
  decipher.setAuthTag(tag);
  let text: string;
  try {
    text = Buffer.concat([decipher.update(data), decipher.final()]).toString('utf8');
  } catch {
    throw new AgrinetError('passphrase-wrong', 'wrong passphrase for the keys in this backup.');
  }
  const read = files.safeParse(jsonOf(new TextEncoder().encode(text)));
  if (!read.success) throw new AgrinetError('backup-damaged', 'the keys in the backup cannot be read.');
  return read.data;
}
