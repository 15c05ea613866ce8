import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { AgrinetError } from '../../protocols/errors.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { BACKUP_LIMITS, damagedBackup } from './format.ts';

/** A key of the database and its value. */
export type StoredPair = readonly [key: string, value: Uint8Array];

const compress = promisify(zstdCompress);
const inflate = promisify(zstdDecompress);
const HEAD_BYTES = 6;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Two bytes with the length of the key, four with that of the value, then both. Throws `backup-too-large`. */
function packPair([key, value]: StoredPair): Uint8Array {
  const name = Buffer.from(key);
  if (name.length > BACKUP_LIMITS.keyBytes || value.length > BACKUP_LIMITS.valueBytes)
    throw new AgrinetError(
      'backup-too-large',
      `the value of ${JSON.stringify(key.slice(0, 200))} is too large for a backup`,
    );
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint16(0, name.length);
  view.setUint32(2, value.length);
  return concat([head, name, value]);
}

const POSITION_BYTES = 2;
/** Positions are whole numbers up to this. */
const POSITIONS = 10_000;

/** How far a backup has come with a data block, from 0 to 1: for a progress bar and nothing else. */
export function positionIn(payload: Uint8Array): number {
  return Math.min(1, (((payload[0] ?? 0) << 8) | (payload[1] ?? 0)) / POSITIONS);
}

/**
 * Gathers pairs into compressed data blocks; `pairs` and `bytes` count their contents. `position` says how far a key is, from 0 to
 * 1.
 */
export async function* packPairs(
  source: AsyncIterable<StoredPair>,
  position: (key: string) => Promise<number>,
): AsyncGenerator<{ readonly payload: Uint8Array; readonly pairs: number; readonly bytes: number }> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let lastKey = '';
  const flush = async () => {
    const at = Math.round(Math.min(1, Math.max(0, await position(lastKey))) * POSITIONS);
    const payload = concat([Uint8Array.of(at >> 8, at & 0xff), await deflated(concat(parts))]);
    const packed = { payload, pairs: parts.length, bytes };
    parts = [];
    bytes = 0;
    return packed;
  };
  for await (const pair of source) {
    const part = packPair(pair);
    parts.push(part);
    lastKey = pair[0];
    bytes += part.length;
    if (bytes >= BACKUP_LIMITS.gatherBytes) yield await flush();
  }
  if (parts.length > 0) yield await flush();
}

async function deflated(raw: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await compress(raw, { params: { [constants.ZSTD_c_compressionLevel]: 3 } }));
}

/** The pairs of a data block: bounded inflation, then strict. Throws `backup-damaged`, with the block's place in the file. */
export async function unpackPairs(
  payload: Uint8Array,
  at: number,
): Promise<{ readonly pairs: StoredPair[]; readonly bytes: number }> {
  const raw = await inflated(payload.subarray(POSITION_BYTES), at);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const pairs: StoredPair[] = [];
  let next = 0;
  while (next < raw.length) {
    if (raw.length - next < HEAD_BYTES) throw damagedBackup('a record is cut off', at);
    const keyEnd = next + HEAD_BYTES + view.getUint16(next);
    const end = keyEnd + view.getUint32(next + 2);
    if (end > raw.length) throw damagedBackup('a record is cut off', at);
    pairs.push([textOf(raw.subarray(next + HEAD_BYTES, keyEnd), at), raw.subarray(keyEnd, end)]);
    next = end;
  }
  return { pairs, bytes: raw.length };
}

async function inflated(payload: Uint8Array, at: number): Promise<Uint8Array> {
  try {
    return await inflate(payload, {
      maxOutputLength: BACKUP_LIMITS.inflatedBytes,
      params: { [constants.ZSTD_d_windowLogMax]: BACKUP_LIMITS.windowLog },
    });
  } catch (error) {
    throw damagedBackup('a block does not inflate within its limit', at, error);
  }
}

function textOf(bytes: Uint8Array, at: number): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw damagedBackup('a key is not UTF-8', at, error);
  }
}
