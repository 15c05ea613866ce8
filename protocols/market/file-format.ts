/** The format of a file by its first bytes. */
export type FileFormat =
  | { readonly kind: 'gzip' }
  | { readonly kind: 'text'; readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be' }
  | { readonly kind: 'other'; readonly is: string };

/** This many bytes are enough. */
export const MAGIC_BYTES = 512;

const SHEET = 'save the sheet as CSV (UTF-8)';
/** Other files that people have in their folders, by their first bytes. */
const OTHERS: readonly (readonly [is: string, magic: readonly number[], at?: number])[] = [
  [`a ZIP archive or an Excel or LibreOffice sheet: unpack it, or ${SHEET}`, [0x50, 0x4b, 0x03, 0x04]],
  [`an old Excel sheet: ${SHEET}`, [0xd0, 0xcf, 0x11, 0xe0]],
  ['a PDF: download the CSV', [0x25, 0x50, 0x44, 0x46]],
  ['compressed with bzip2: unpack it', [0x42, 0x5a, 0x68]],
  ['compressed with xz: unpack it', [0xfd, 0x37, 0x7a, 0x58]],
  ['compressed with zstd: unpack it', [0x28, 0xb5, 0x2f, 0xfd]],
  ['a Parquet file: download the CSV', [0x50, 0x41, 0x52, 0x31]],
  ['a 7-Zip archive: unpack it', [0x37, 0x7a, 0xbc, 0xaf]],
  ['a RAR archive: unpack it', [0x52, 0x61, 0x72, 0x21]],
  ['a tar archive: unpack it', [0x75, 0x73, 0x74, 0x61, 0x72], 257],
  ['an SQLite database: download the CSV', [0x53, 0x51, 0x4c, 0x69, 0x74, 0x65]],
];

/** Tells a file by its first bytes; nothing is guessed beyond a byte order mark and the known magic numbers. */
export function formatOf(head: Uint8Array): FileFormat {
  const has = (bytes: readonly number[], at = 0): boolean => bytes.every((byte, i) => head[at + i] === byte);
  const begins = (...bytes: readonly number[]): boolean => has(bytes);
  if (begins(0x1f, 0x8b)) return { kind: 'gzip' };
  if (begins(0xff, 0xfe, 0, 0) || begins(0, 0, 0xfe, 0xff))
    return { kind: 'other', is: 'UTF-32: save it as UTF-8' };
  if (begins(0xff, 0xfe)) return { kind: 'text', encoding: 'utf-16le' };
  if (begins(0xfe, 0xff)) return { kind: 'text', encoding: 'utf-16be' };
  for (const [is, magic, at] of OTHERS) if (has(magic, at)) return { kind: 'other', is };
  if (head.subarray(0, MAGIC_BYTES).includes(0))
    return { kind: 'other', is: 'binary, or UTF-16 without its byte order mark: save it as UTF-8' };
  const start = new TextDecoder().decode(head.subarray(0, MAGIC_BYTES)).trimStart();
  if (start.startsWith('<')) return { kind: 'other', is: 'a web page or XML: download the CSV itself' };
  if (/^[[{]/.test(start)) return { kind: 'other', is: 'JSON: download the CSV' };
  return { kind: 'text', encoding: 'utf-8' };
}
