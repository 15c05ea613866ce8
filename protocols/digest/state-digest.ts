import { sha256Hex } from '../wire/bytes.ts';

/** Records of one collection and the set hash over them, hex. */
export interface CollectionDigest {
  readonly count: number;
  readonly digest: string;
}

/** One owner's digest: SHA-256 over a line `collection count digest` for each collection that holds anything, sorted. */
export function ownerDigest(collections: ReadonlyMap<string, CollectionDigest>): string {
  const lines = [...collections].map(([name, { count, digest }]) => `${name} ${count} ${digest}\n`);
  return sha256Hex(lines.sort().join(''));
}

/** The total: SHA-256 over a line `owner digest` for each owner, sorted. */
export function totalDigest(owners: ReadonlyMap<string, string>): string {
  return sha256Hex(
    [...owners]
      .map(([owner, digest]) => `${owner} ${digest}\n`)
      .sort()
      .join(''),
  );
}
