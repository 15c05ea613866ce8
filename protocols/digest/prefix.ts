import { AgrinetError } from '../errors.ts';
import { sha256Hex } from '../wire/bytes.ts';
import { integer } from '../wire/cbor.ts';
import type { PeerId } from '../wire/identity.ts';
import { isLocalId, recordKey } from '../wire/ids.ts';

/**
 * Finding the records in which two nodes differ: the records of one owner and collection, in the order of SHA-256 of their keys, as a
 * tree of 16 branches a level. Equal digests end the search of a branch, so that few differences cost few answers.
 */
export const PREFIX_LIMITS = {
  /** A branch of at most this many records is sent record by record: about 4 KiB of JSON, less than one more level. */
  leaf: 32,
  /** Hex digits of a prefix: 16 ^ 8 branches are far more than records. */
  digits: 8,
  /** Records of one owner and collection that are compared: they are held in memory for a moment, about 300 bytes each. */
  records: 200_000,
  /** Trees kept for the next questions about them; one search asks about one at a time. */
  trees: 2,
  /** How long a tree is kept without a question, milliseconds. */
  keptMs: 60_000,
  /** Trees that may wait to be made; beyond it `busy`. */
  waiting: 8,
} as const;

/** What a prefix grows by. */
export const HEX_DIGITS: readonly string[] = Array.from({ length: 16 }, (_, digit) => digit.toString(16));

/** A record in the tree. */
export interface PrefixRow {
  /** SHA-256 of the record key, hex: where it stands. */
  readonly place: string;
  /** Its local id. */
  readonly id: string;
  /** SHA-256 of its digest element (section 5), hex. */
  readonly hash: string;
}

export interface PrefixBranch {
  readonly prefix: string;
  readonly count: number;
  /** SHA-256 over a line `id hash` for each record, in order, hex. */
  readonly digest: string;
}

/** One branch: its records when they are few, else the branches that hold any. */
export type PrefixAnswer = PrefixBranch &
  (
    | { readonly records: readonly Pick<PrefixRow, 'id' | 'hash'>[] }
    | { readonly branches: readonly PrefixBranch[] }
  );

/** Where a record stands in its tree. */
export function placeOf(collection: string, owner: PeerId, id: string): string {
  return sha256Hex(recordKey(collection, owner, id));
}

/** Whether a branch of so many records is told record by record. */
export function isLeaf(prefix: string, count: number): boolean {
  return count <= PREFIX_LIMITS.leaf || prefix.length >= PREFIX_LIMITS.digits;
}

/** The branch at a prefix; `rows` are sorted by place. `digestAt` may know what the rows under a prefix give. */
export function branchAt(
  rows: readonly PrefixRow[],
  prefix: string,
  digestAt: (prefix: string) => string = (each) => digestOf(rowsUnder(rows, each)),
): PrefixAnswer {
  const under = rowsUnder(rows, prefix);
  const branch = { prefix, count: under.length, digest: digestAt(prefix) };
  if (isLeaf(prefix, under.length))
    return { ...branch, records: under.map(({ id, hash }) => ({ id, hash })) };
  const branches = HEX_DIGITS.flatMap((digit): PrefixBranch[] => {
    const child = rowsUnder(under, prefix + digit);
    return child.length === 0
      ? []
      : [{ prefix: prefix + digit, count: child.length, digest: digestAt(prefix + digit) }];
  });
  return { ...branch, branches };
}

/** The rows whose places begin with a prefix: one stretch, found by bisection. */
export function rowsUnder(rows: readonly PrefixRow[], prefix: string): readonly PrefixRow[] {
  const first = (bound: string): number => {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((rows[middle]?.place ?? '') < bound) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  // `g` is behind every hex digit.
  return rows.slice(first(prefix), first(`${prefix}g`));
}

function digestOf(rows: readonly Pick<PrefixRow, 'id' | 'hash'>[]): string {
  return sha256Hex(rows.map(digestLine).join(''));
}

/** What a record adds to the digests of its branches. */
export function digestLine({ id, hash }: Pick<PrefixRow, 'id' | 'hash'>): string {
  return `${id} ${hash}\n`;
}

const malformed = (why: string): AgrinetError =>
  new AgrinetError('prefix-malformed', `the answer about a prefix of the digest does not hold: ${why}`);

/**
 * Reads an answer about this prefix, and believes it nothing: counts add up, records and branches stand under the prefix, in order and once,
 * and records give the digest. Throws `prefix-malformed`.
 */
export function readPrefixAnswer(
  value: unknown,
  { collection, owner, prefix }: { collection: string; owner: PeerId; prefix: string },
): PrefixAnswer {
  const map = objectOf(value);
  const branch = branchOf(map);
  if (branch.prefix !== prefix) throw malformed('a different prefix than requested');
  const { records, branches } = map;
  if (Array.isArray(records) && branches === undefined) {
    if (records.length !== branch.count || records.length > PREFIX_LIMITS.records)
      throw malformed('the count of its records');
    const read = records.map((record: unknown) => {
      const { id, hash } = objectOf(record);
      if (typeof id !== 'string' || !isLocalId(id) || !isDigest(hash)) throw malformed('a record');
      return { id, hash, place: placeOf(collection, owner, id) };
    });
    checkOrder(
      read.map(({ place }) => place),
      prefix,
    );
    if (digestOf(read) !== branch.digest) throw malformed('the digest of its records');
    return { ...branch, records: read.map(({ id, hash }) => ({ id, hash })) };
  }
  if (!Array.isArray(branches) || records !== undefined || branches.length > 16)
    throw malformed('neither records nor branches');
  const read = branches.map((each: unknown) => branchOf(objectOf(each)));
  if (read.some((each) => each.prefix.length !== prefix.length + 1 || each.count === 0))
    throw malformed('a branch');
  checkOrder(
    read.map((each) => each.prefix),
    prefix,
  );
  if (read.reduce((sum, { count }) => sum + count, 0) !== branch.count) throw malformed('the counts');
  return { ...branch, branches: read };
}

function checkOrder(places: readonly string[], prefix: string): void {
  places.forEach((place, i) => {
    if (!place.startsWith(prefix)) throw malformed('something from elsewhere');
    if (i > 0 && place <= (places[i - 1] ?? '')) throw malformed('the order');
  });
}

function branchOf({ prefix, count, digest }: Record<string, unknown>): PrefixBranch {
  const many = integer(count, 0);
  if (typeof prefix !== 'string' || !isPrefix(prefix) || many === undefined || !isDigest(digest))
    throw malformed('its fields');
  return { prefix, count: many, digest };
}

/** Whether a text is a prefix that may be asked for. */
export function isPrefix(text: string): boolean {
  return text.length <= PREFIX_LIMITS.digits && /^[0-9a-f]*$/.test(text);
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('its shape');
  return value as Record<string, unknown>;
}
