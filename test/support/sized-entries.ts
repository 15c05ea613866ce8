import type { Entry } from '../../protocols/feed/entry.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import type { Hand, Random } from './forge.ts';

/** Ops of random bytes, so that nothing compresses, which make an entry of so many bytes at the next place of this hand. */
export function opsOfSize(hand: Hand, random: Random, size: number): Uint8Array[] {
  const whole = Math.max(0, Math.floor((size - 1024) / (LIMITS.opBytes + 5)));
  const ops = Array.from({ length: whole }, () => random.bytes(LIMITS.opBytes));
  // Heads of different lengths: the last op is grown until the entry is as long as wanted.
  let rest = Math.max(1, size - whole * (LIMITS.opBytes + 5) - 512);
  for (let tries = 0; tries < 8; tries++) {
    const last = [...split(rest)].map((length) => random.bytes(length));
    const { length } = hand.sign([...ops, ...last]).bytes;
    if (length === size) return [...ops, ...last];
    rest += size - length;
  }
  throw new Error(`no ops make an entry of ${size} bytes`);
}

/** One op, or two where it would be too long for one. */
function* split(length: number): Generator<number> {
  if (length <= LIMITS.opBytes) yield length;
  else yield* [LIMITS.opBytes, length - LIMITS.opBytes];
}

/** The next entry of a feed, of exactly so many bytes, which do not compress. */
export function entryOfSize(hand: Hand, random: Random, size: number): Entry {
  return hand.next(opsOfSize(hand, random, size));
}
