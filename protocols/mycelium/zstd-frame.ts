/** The largest window of a frame, 2 ^ this: more than a range frame inflates to, so a decoder never sets memory aside for a claim. */
export const ZSTD_WINDOW_LOG = 21;

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const;
const CHECKSUM = 0b100;
const SINGLE_SEGMENT = 0b10_0000;
/** Bits that say nothing, and those of a dictionary's id. */
const REFUSED = 0b1_1011;
const RLE = 1;
const RESERVED = 3;

/**
 * Whether bytes are exactly one zstd frame (RFC 8878, section 3.1.1), without a dictionary. Only the heads of blocks are checked:
 * their content is left to the decoder, and many decoders ignore what follows a frame.
 */
export function isOneZstdFrame(bytes: Uint8Array): boolean {
  const descriptor = bytes[4] ?? REFUSED;
  if (MAGIC.some((byte, i) => bytes[i] !== byte) || (descriptor & REFUSED) !== 0) return false;
  const single = (descriptor & SINGLE_SEGMENT) !== 0;
  const sizeFlag = descriptor >> 6;
  const contentSize = sizeFlag === 0 ? Number(single) : 1 << sizeFlag;
  let at = 5 + Number(!single) + contentSize;
  for (let last = false; !last;) {
    const [low, middle, high] = bytes.subarray(at, at + 3);
    if (low === undefined || middle === undefined || high === undefined) return false;
    const head = low | (middle << 8) | (high << 16);
    const kind = (head >> 1) & 3;
    if (kind === RESERVED) return false;
    last = (head & 1) === 1;
    at += 3 + (kind === RLE ? 1 : head >> 3);
  }
  return at + ((descriptor & CHECKSUM) === 0 ? 0 : 4) === bytes.length;
}
