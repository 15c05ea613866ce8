import { decodeCbor, encodeCbor, mapOf } from '../wire/cbor.ts';
import { isCollection } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { readPlainOp, writePlainOp } from './plain-op.ts';

/**
 * One op: collection `c`; record key `k` without the collection (`owner/local id`), empty where the local id is the hash of
 * `d` itself (facts, and the creation of a private record) and for `erase`; type `t` (`create`, `delta`, `fact`, `tombstone`, `erase`; others wait for an upgrade); payload `d`.
 */
export interface Op {
  readonly v: number;
  readonly c: string;
  readonly k: string;
  readonly t: string;
  readonly d: Uint8Array;
}

/** The op in canonical dag-cbor. */
export function encodeOp(op: Op): Uint8Array {
  return writePlainOp(op) ?? encodeCbor({ v: op.v, c: op.c, k: op.k, t: op.t, d: op.d });
}

const KEYS = ['v', 'c', 'k', 't', 'd'] as const;

/** Reads an op; undefined when it is malformed (the op is then rejected with `op-malformed`). An unknown version is not an error. */
export function decodeOp(bytes: Uint8Array): Op | undefined {
  const map = readPlainOp(bytes) ?? decodeMap(bytes);
  if (map === undefined || !isCollection(map.c)) return undefined;
  const { v, k, t, d } = map;
  if (typeof v !== 'number' || !Number.isSafeInteger(v) || v < 1) return undefined;
  if (typeof k !== 'string' || k.length > LIMITS.keyBytes || typeof t !== 'string' || t.length > 32)
    return undefined;
  return d instanceof Uint8Array ? { v, c: map.c, k, t, d } : undefined;
}

function decodeMap(bytes: Uint8Array): Record<keyof Op, unknown> | undefined {
  try {
    return mapOf(decodeCbor(bytes), KEYS);
  } catch {
    return undefined; // the caller's verdict, not an exception: a rejected op never stops its entry
  }
}
