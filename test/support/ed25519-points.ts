import { createHash } from 'node:crypto';

/** Ed25519 in plain BigInt arithmetic (RFC 8032 section 5.1), to make signatures that no honest signer makes. Slow. */
export const P = 2n ** 255n - 19n;
/** The order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;

export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

const mod = (value: bigint, modulus = P): bigint => ((value % modulus) + modulus) % modulus;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

const inverse = (value: bigint): bigint => power(value, P - 2n);
const D = mod(-121665n * inverse(121666n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);

export const IDENTITY: Point = { x: 0n, y: 1n };

export function add(a: Point, b: Point): Point {
  const cross = mod(D * a.x * b.x * a.y * b.y);
  return {
    x: mod((a.x * b.y + b.x * a.y) * inverse(1n + cross)),
    y: mod((a.y * b.y + a.x * b.x) * inverse(1n - cross)),
  };
}

export function multiply(scalar: bigint, point: Point): Point {
  let result = IDENTITY;
  let double = point;
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = add(result, double);
    double = add(double, double);
  }
  return result;
}

/** The point with this y and an even or odd x; undefined when there is none. */
export function pointAt(y: bigint, odd: boolean): Point | undefined {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x) !== square) x = mod(x * SQRT_MINUS_1);
  if (mod(x * x) !== square) return undefined;
  return { x: ((x & 1n) === 1n) === odd || x === 0n ? x : P - x, y: mod(y) };
}

const BASE = pointAt(mod(4n * inverse(5n)), false) ?? IDENTITY;
export const timesBase = (scalar: bigint): Point => multiply(mod(scalar, L), BASE);

/** 32 bytes, little-endian. */
export function littleEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(32);
  for (let i = 0; i < 32; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return bytes;
}

export function fromLittleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

export function encodePoint({ x, y }: Point): Uint8Array {
  return littleEndian(y | ((x & 1n) << 255n));
}

/** The hash that binds a signature: SHA-512 of R, key and message as a scalar. */
export function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  return mod(fromLittleEndian(createHash('sha512').update(r).update(key).update(message).digest()), L);
}

/** A point of order 8, found by clearing the large factor of any point. */
export function orderEight(): Point {
  for (let y = 2n; ; y++) {
    const point = pointAt(y, false);
    if (point === undefined) continue;
    const torsion = multiply(L, point);
    if (!isIdentity(multiply(4n, torsion))) return torsion;
  }
}

export const isIdentity = ({ x, y }: Point): boolean => x === 0n && y === 1n;

/** Every encoding of a point of small order: eight points, and those of them that have further encodings. */
export function smallOrderEncodings(): Uint8Array[] {
  const generator = orderEight();
  const encodings = new Map<string, Uint8Array>();
  for (let i = 0n; i < 8n; i++) {
    const { y } = multiply(i, generator);
    // Both signs: where x is 0 the other sign is an encoding that a lax decoder takes; where not, it is another point of the group.
    for (const value of y + P < 2n ** 255n ? [y, y + P] : [y])
      for (const sign of [0n, 1n]) {
        const bytes = littleEndian(value | (sign << 255n));
        encodings.set(Buffer.from(bytes).toString('hex'), bytes);
      }
  }
  return [...encodings.values()];
}
