/** One bit for each listing of a segment, the first in the lowest bit of the first byte. */
export type Bits = Uint8Array;

export const bitmapSize = (size: number): number => (size + 7) >> 3;
export const bitmapOf = (size: number): Bits => new Uint8Array(bitmapSize(size));

export function allOf(size: number): Bits {
  const bits = bitmapOf(size).fill(255);
  if (size % 8 !== 0) bits[bits.length - 1] = (1 << (size % 8)) - 1;
  return bits;
}

/** Keeps in `bits` only what is in `other` too; returns whether anything is left. */
export function intersect(bits: Bits, other: Bits): boolean {
  let any = 0;
  for (let i = 0; i < bits.length; i++) any |= bits[i] = (bits[i] ?? 0) & (other[i] ?? 0);
  return any !== 0;
}

export function unionInto(bits: Bits, other: Bits): void {
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] ?? 0) | (other[i] ?? 0);
}

export function setBit(bits: Bits, place: number): void {
  bits[place >> 3] = (bits[place >> 3] ?? 0) | (1 << (place & 7));
}

export function* placesOf(bits: Bits): Generator<number> {
  for (const [i, byte] of bits.entries())
    for (let left = byte, place = i * 8; left !== 0; left >>= 1, place++) if (left % 2 === 1) yield place;
}
