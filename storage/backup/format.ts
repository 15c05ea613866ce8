import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import type { EnvelopeType } from '../../protocols/wire/envelope.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';

/** The format of backup files; `storage/README.md` describes it byte by byte. */
export const BACKUP_FORMAT = 1;

/** Limits of a backup file, checked before anything is allocated. Bytes, unless it says otherwise. */
export const BACKUP_LIMITS = {
  /** The manifest: a few lines of JSON. */
  manifestBytes: 16 * 1024,
  /** A key of the database; its length has two bytes. */
  keyBytes: 65_535,
  /** A value of the database: an entry has up to 1 MiB, a record that many edit at the same time several. */
  valueBytes: 16 * 1024 * 1024,
  /** Bytes of records collected into one block: large enough to compress well, small enough to stream smoothly. */
  gatherBytes: 256 * 1024,
  /** A decompressed data block: the target size, plus one record of the largest size. */
  inflatedBytes: 17 * 1024 * 1024,
  /** A data block as stored in the file; zstd adds little to data that does not compress. */
  blockBytes: 18 * 1024 * 1024,
  /** The window that zstd may request, as a power of two: 16 MiB. */
  windowLog: 24,
  /** The block with the encrypted keys. */
  keysBytes: 64 * 1024,
  /** The last block: a signature and two counts. */
  endBytes: 1024,
} as const;

/** The description of a backup, before anything else. */
export interface Manifest {
  readonly format: typeof BACKUP_FORMAT;
  /** Layout of the database: the version stamp of its migrations. */
  readonly layout: number;
  /** Version of the program that wrote it. */
  readonly agrinetd: string;
  readonly peerId: PeerId;
  readonly network: string;
  /** Milliseconds since 1970: the moment of the snapshot. */
  readonly createdAt: number;
  readonly withKeys: boolean;
  /** The total state digest over the public records of the snapshot. */
  readonly digest: string;
}

/** The last block is signed by the node whose backup it is, under a domain of its own. */
export const BACKUP_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-backup',
  payloadType: new TextEncoder().encode('/agrinet/backup/1'),
};

const whole = z.number().int().nonnegative();
/** Fields that are added later are passed over: what must not be, has another `format`. */
const manifest = z.object({
  format: z.literal(BACKUP_FORMAT),
  layout: whole.min(1),
  agrinetd: z.string().max(64),
  peerId: z.string(),
  network: z.string().max(64),
  createdAt: whole,
  withKeys: z.boolean(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

export function encodeManifest(value: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Reads a manifest; undefined when it is not one. */
export function decodeManifest(bytes: Uint8Array): Manifest | undefined {
  const read = manifest.safeParse(jsonOf(bytes));
  const peerId = parsePeerId(read.data?.peerId);
  return read.success && peerId !== undefined ? { ...read.data, peerId } : undefined;
}

/** The JSON in some bytes; undefined when there is none. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined; // that it is none is the answer
  }
}

/** A file that is truncated, altered or not a backup. `at` is the byte where that shows. */
export function damagedBackup(why: string, at: number, cause?: unknown): AgrinetError {
  const advice = 'Nothing of it can be trusted: take another backup.';
  return new AgrinetError('backup-damaged', `not a complete backup: ${why} (byte ${at}). ${advice}`, {
    cause,
  });
}
