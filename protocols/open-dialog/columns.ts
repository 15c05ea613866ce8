import { AgrinetError } from '../errors.ts';

/*
 * The low layer of Automerge's columnar encoding, as far as Open Dialog version 1 uses it: LEB128 integers, text, and
 * runs. A run is a signed count: n > 0 repeats one value n times, n < 0 is followed by -n different values, and 0 is a
 * run of nulls, which no column of ours may hold.
 */

/** Largest chunk, so that nothing a stranger sends costs more than a few milliseconds. */
export const MAX_CHUNK_BYTES = 65_536;
/** Most predecessors in one change: sixteen concurrent writers of every field of the largest change. */
export const MAX_PREDS = 4_096;
/** Largest counter of an operation id; Automerge keeps them in 32 bits and panics beyond. Largest seq too. */
export const MAX_COUNTER = 2 ** 31 - 1;
/** Most changes that one change depends on; what has more heads is merged in several steps. */
export const MAX_DEPS = 256;

/** The column specifiers, in their order in a chunk. */
export const COLUMN = {
  keyString: 0x15,
  insert: 0x34,
  action: 0x42,
  valueMeta: 0x56,
  valueRaw: 0x57,
  predGroup: 0x70,
  predActor: 0x71,
  predCounter: 0x73,
} as const;

/** The bit of a column specifier that says that its data is compressed. */
export const DEFLATE_BIT = 0x08;

/** The low four bits of a value's meta; the rest is its length in bytes. */
export const VALUE = { null: 0, false: 1, true: 2, int: 4, float64: 5, string: 6 } as const;

/** Why a change is refused; these codes are stable. */
export type ChangeErrorCode =
  | 'change-malformed'
  | 'change-compressed'
  | 'change-checksum'
  | 'change-not-canonical'
  | 'change-unsupported'
  | 'change-too-many-ops'
  | 'change-too-large';

/** The error of a refused change, to be thrown by the caller. */
export function refusal(code: ChangeErrorCode, message: string): AgrinetError {
  return new AgrinetError(code, message);
}
