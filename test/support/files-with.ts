import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';

/** The first bytes of a zstd frame (RFC 8878): entries of some KiB stand packed in the database. */
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Of a frame in a table or a log nobody says where it ends: so much is looked at behind its beginning. */
const FRAME_BYTES = 2 * 1024 * 1024;

/** Files of a folder, the database's and its logs among them, that hold these bytes, packed ones too. */
export function filesWith(dir: string, text: string): string[] {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name));
  try {
    return files.filter((file) => holds(readFileSync(file), text));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    // LevelDB has taken a file away meanwhile: what was in it stands in another now.
    return filesWith(dir, text);
  }
}

function holds(content: Buffer, text: string): boolean {
  if (content.includes(text)) return true;
  for (let at = content.indexOf(ZSTD); at >= 0; at = content.indexOf(ZSTD, at + 1))
    if (unpacked(content.subarray(at, at + FRAME_BYTES)).includes(text)) return true;
  return false;
}

/** What a frame at the beginning of these bytes holds; nothing where they only look like one, or it is cut off. */
function unpacked(bytes: Buffer): Buffer {
  try {
    return zstdDecompressSync(bytes);
  } catch {
    return Buffer.alloc(0);
  }
}
