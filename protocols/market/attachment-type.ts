/** What bytes are served as. Anything else than these is `application/octet-stream`, to be saved and never shown. */
export type AttachmentType =
  | 'image/png'
  | 'image/jpeg'
  | 'image/gif'
  | 'image/webp'
  | 'image/avif'
  | 'application/pdf'
  | 'text/plain'
  | 'application/octet-stream';

const ascii = (text: string, at = 0): ((bytes: Uint8Array) => boolean) => {
  const wanted = Buffer.from(text, 'latin1');
  return (bytes) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      .subarray(at, at + wanted.length)
      .equals(wanted);
};

const STARTS: readonly (readonly [AttachmentType, ...((bytes: Uint8Array) => boolean)[]])[] = [
  ['image/png', ascii('\x89PNG\r\n\x1a\n')],
  ['image/jpeg', ascii('\xff\xd8\xff')],
  ['image/gif', ascii('GIF8'), ascii('a', 5)],
  ['image/webp', ascii('RIFF'), ascii('WEBP', 8)],
  ['image/avif', ascii('ftypavif', 4)],
  ['application/pdf', ascii('%PDF-')],
];

/** Told by the bytes alone: what an author or a client says of them counts for nothing. */
export function attachmentType(bytes: Uint8Array): AttachmentType {
  const known = STARTS.find(([, ...tests]) => tests.every((test) => test(bytes)));
  if (known !== undefined) return known[0];
  return isPlainText(bytes) ? 'text/plain' : 'application/octet-stream';
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** UTF-8 without control characters but those that lines and tables are made of. */
function isPlainText(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte >= 0x20 && byte !== 0x7f) continue;
    if (byte !== 0x09 && byte !== 0x0a && byte !== 0x0c && byte !== 0x0d) return false;
  }
  try {
    utf8.decode(bytes);
    return true;
  } catch {
    return false; // another encoding, or no text
  }
}
