import { AgrinetError } from '../errors.ts';

/** Bytes of the longest prefix: an unsigned varint below 2^28. */
export const MAX_PREFIX = 4;

/** A frame as it goes over the wire: an unsigned varint, minimal, and that many bytes. */
export function withPrefix(bytes: Uint8Array): Uint8Array {
  let rest = bytes.length;
  let prefix = 1;
  for (let more = rest >>> 7; more > 0; more >>>= 7) prefix++;
  const out = new Uint8Array(prefix + bytes.length);
  for (let at = 0; at < prefix; at++) {
    out[at] = (rest & 0x7f) | (at < prefix - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
  out.set(bytes, prefix);
  return out;
}

/**
 * The length of the next frame and of its prefix, or undefined while the prefix is not whole. Throws `frame-malformed` for a prefix that
 * is longer than it needs to be, `frame-too-long` above `maxFrame`.
 */
export function readPrefix(
  queue: { at(place: number): number | undefined },
  maxFrame: number,
): { readonly prefix: number; readonly length: number } | undefined {
  let length = 0;
  for (let prefix = 1; prefix <= MAX_PREFIX; prefix++) {
    const byte = queue.at(prefix - 1);
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << (7 * (prefix - 1));
    if (byte >= 0x80) continue;
    if (byte === 0 && prefix > 1)
      throw new AgrinetError('frame-malformed', 'a length in more bytes than it needs');
    if (length > maxFrame)
      throw new AgrinetError('frame-too-long', 'a frame above the limit', { details: { length, maxFrame } });
    return { prefix, length };
  }
  throw new AgrinetError('frame-malformed', 'a length of more than four bytes');
}
