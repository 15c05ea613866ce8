import { decode, encode } from '@ipld/dag-cbor';
import { AgrinetError } from '../errors.ts';
import { bytesEqual } from './bytes.ts';
import { cborShape } from './cbor-shape.ts';
import { LIMITS } from './limits.ts';

/** The values of our payloads. Integers are safe integers; other numbers are finite doubles; no undefined, no links. */
export type Cbor =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Cbor[]
  | { readonly [key: string]: Cbor };

/** Canonical dag-cbor (https://ipld.io/specs/codecs/dag-cbor/spec/). */
export function encodeCbor(value: Cbor): Uint8Array {
  return encode(value);
}

/**
 * Decodes canonical dag-cbor strictly: encoding the result must give exactly the same bytes, because the decoder alone accepts
 * unsorted keys, float-coded integers, `undefined` and bad UTF-8. Usually the heads show this; otherwise the result is encoded and
 * compared. Depth and the number of values are checked before anything is built: a million empty lists are a megabyte, and half a
 * second for a decoder. Throws `not-canonical`.
 */
export function decodeCbor(bytes: Uint8Array, items: number = LIMITS.payloadItems): unknown {
  const shape = cborShape(bytes, items);
  if ('problem' in shape) throw new AgrinetError('not-canonical', `dag-cbor: ${shape.problem}`);
  let value: unknown;
  try {
    value = decode(bytes);
    if (shape.canonical || bytesEqual(encode(value), bytes)) return value;
  } catch (error) {
    throw new AgrinetError('not-canonical', 'not canonical dag-cbor', { cause: error });
  }
  throw new AgrinetError('not-canonical', 'dag-cbor in another than its canonical form');
}

/** The value as a map with exactly these keys, or undefined. */
export function mapOf<K extends string>(value: unknown, keys: readonly K[]): Record<K, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return undefined;
  }
  const own = Object.keys(value);
  if (own.length !== keys.length || !keys.every((key) => Object.hasOwn(value, key))) return undefined;
  return value as Record<K, unknown>;
}

/** A safe integer in the range, or undefined. */
export function integer(
  value: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
    ? value
    : undefined;
}

/** Bytes of exactly this length, or undefined. */
export function bytesOf(value: unknown, length: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.length === length ? value : undefined;
}
