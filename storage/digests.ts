import { type Coverage, isCoveredBy, OWN_COVERAGE } from '../protocols/digest/coverage.ts';
import { digestElement } from '../protocols/digest/element.ts';
import {
  addElement,
  emptySum,
  removeElement,
  sumBytes,
  sumDigest,
  sumFrom,
} from '../protocols/digest/lthash.ts';
import { ownerDigest, totalDigest } from '../protocols/digest/state-digest.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { Level, Snapshot } from './level.ts';
import { readRecordRow } from './stored-record.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import type { Database } from './database.ts';
import { verifyChecksum, withChecksum } from './values.ts';
import { concat } from '../protocols/wire/bytes.ts';

export interface Sum {
  readonly lanes: Uint16Array;
  count: number;
  /** Its digest, made when it is first asked for: a sum that is kept does not change any more. */
  shown?: Digest;
}

function encodeSum(key: string, { lanes, count }: Sum): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, count);
  return withChecksum(key, concat([bytes, sumBytes(lanes)]));
}

/** Undefined when it is damaged. */
function readSum(key: string, stored: Uint8Array): Sum | undefined {
  try {
    const value = verifyChecksum(key, stored);
    const count = new DataView(value.buffer, value.byteOffset, 4).getUint32(0);
    return { count, lanes: sumFrom(value.subarray(4)) };
  } catch {
    return undefined; // whoever checks the sums makes it anew
  }
}

/** The sum of a snapshot's records, moved by what the kept sum has moved since. */
function moved(counted: Sum | undefined, then: Sum | undefined, now: Sum | undefined): Sum {
  const lanes = emptySum().map(
    (_, i) => (counted?.lanes[i] ?? 0) + (now?.lanes[i] ?? 0) - (then?.lanes[i] ?? 0),
  );
  return { lanes, count: (counted?.count ?? 0) + (now?.count ?? 0) - (then?.count ?? 0) };
}

function sameSum(a: Sum | undefined, b: Sum): boolean {
  return (a?.count ?? 0) === b.count && b.lanes.every((lane, i) => lane === (a?.lanes[i] ?? 0));
}

/** One digest as shown: how many records count, and the hash over them. */
export interface Digest {
  readonly count: number;
  readonly digest: string;
}

/** Set hashes per channel, owner and collection, kept in memory and written with each commit that moves them. */
export class Digests {
  #sums = new Map<string, Sum>();
  /** The same, by channel, owner and collection: a request about one owner must not cost as much as all owners. */
  #owners = new Map<string, Map<string, Map<string, Sum>>>();
  /** Sums of commits in flight, on which those after them build. */
  readonly #coming = new Map<string, Sum>();
  /** Digests of owners over their public records, until one of their records changes. */
  #ownerDigests = new Map<string, string>();

  /** The sums computed from the records in a database. */
  static async ofRecords(level: Level): Promise<Digests> {
    const digests = new Digests();
    const sums = digests.begin();
    for await (const [key, value] of level.iterator(range('records')))
      sums.change(undefined, readRecordRow(key, value).state);
    sums.commit();
    return digests;
  }

  /**
   * Reads the stored sums, of now or of a snapshot; they are shown once the result is called. Their digests are made while they are read, in
   * turns with the disk: whoever asks for all of them first must not wait for thousands.
   */
  async read({ level }: Pick<Database, 'level'>, snapshot?: Snapshot): Promise<() => void> {
    const next = new Digests();
    const at = snapshot === undefined ? {} : { snapshot };
    for await (const [full, stored] of level.iterator({ ...range('digests'), ...at })) {
      const value = verifyChecksum(full, stored);
      const count = new DataView(value.buffer, value.byteOffset, 4).getUint32(0);
      const sum: Sum = { count, lanes: sumFrom(value.subarray(4)) };
      shownOf(sum);
      next.#keep(innerKey(full), sum);
    }
    return () => {
      this.#sums = next.#sums;
      this.#owners = next.#owners;
      this.#ownerDigests = next.#ownerDigests;
    };
  }

  /** The sums at this moment: for counting the records of a snapshot taken at the same moment. */
  captured(): ReadonlyMap<string, Sum> {
    return new Map(this.#sums); // a commit replaces sums, and never changes one
  }

  /**
   * What is wrong with the sums, in memory and on disk, after the records of a snapshot were counted: since then both have changed
   * by the same commits. To be called between two commits; call `apply` once the rows are written.
   */
  async corrections(
    { level }: Pick<Database, 'level'>,
    counted: Digests,
    captured: ReadonlyMap<string, Sum>,
  ): Promise<{ rows: BatchOp[]; apply(): void }> {
    const rows: BatchOp[] = [];
    const right = new Map<string, Sum>();
    const ids = new Set([...counted.#sums.keys(), ...captured.keys(), ...this.#sums.keys()]);
    for await (const key of level.keys(range('digests'))) ids.add(innerKey(key));
    for (const id of ids) {
      const expected = moved(counted.#sums.get(id), captured.get(id), this.#sums.get(id));
      const key = fullKey('digests', id);
      const stored = await level.get(key);
      const held = stored === undefined ? undefined : readSum(key, stored);
      const isDamaged = stored !== undefined && held === undefined;
      if (!isDamaged && sameSum(held, expected) && sameSum(this.#sums.get(id), expected)) continue;
      rows.push({ type: 'put', key, value: encodeSum(key, expected) });
      right.set(id, expected);
    }
    return {
      rows,
      apply: () => {
        for (const [id, sum] of right) this.#keep(id, sum);
      },
    };
  }

  /** Digests of one channel: owner -> collection -> digest. Groups that hold nothing are left out, as if they had never been. */
  of(channel: string): Map<string, Map<string, Digest>> {
    const owners = new Map<string, Map<string, Digest>>();
    for (const owner of this.#owners.get(channel)?.keys() ?? []) {
      const group = this.ofOwner(channel, owner);
      if (group.size > 0) owners.set(owner, group);
    }
    return owners;
  }

  /** Digests of one owner: collection -> digest. */
  ofOwner(channel: string, owner: string): Map<string, Digest> {
    const group = new Map<string, Digest>();
    for (const [collection, sum] of this.#owners.get(channel)?.get(owner) ?? [])
      if (sum.count > 0) group.set(collection, shownOf(sum));
    return group;
  }

  /** The digest over an owner's public records in these collections, all of which are known here, hex. */
  ownerDigest(owner: string, covers: Coverage = OWN_COVERAGE): string {
    if (!isCoveredBy(OWN_COVERAGE, covers))
      return ownerDigest(new Map([...this.ofOwner('public', owner)].filter(([name]) => covers.has(name))));
    const known = this.#ownerDigests.get(owner);
    if (known !== undefined) return known;
    const digest = ownerDigest(this.ofOwner('public', owner));
    // Of owners that nothing is held of there may be any number.
    if (this.#owners.get('public')?.has(owner) === true) this.#ownerDigests.set(owner, digest);
    return digest;
  }

  #keep(key: string, sum: Sum): void {
    const [channel = '', owner = '', collection = ''] = key.split('|');
    this.#sums.set(key, sum);
    const owners = this.#owners.get(channel) ?? new Map<string, Map<string, Sum>>();
    const group = owners.get(owner) ?? new Map<string, Sum>();
    this.#owners.set(channel, owners.set(owner, group.set(collection, sum)));
    if (channel === 'public') this.#ownerDigests.delete(owner);
  }

  /** One digest; undefined of what holds nothing. */
  one(channel: string, owner: string, collection: string): Digest | undefined {
    const sum = this.#sums.get(`${channel}|${owner}|${collection}`);
    return sum === undefined || sum.count === 0 ? undefined : shownOf(sum);
  }

  /** Records of one channel by collection, over all owners; cheap, because no digest is made. */
  counts(channel: string): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [key, { count }] of this.#sums) {
      const [at = '', , collection = ''] = key.split('|');
      if (at === channel) counts.set(collection, (counts.get(collection) ?? 0) + count);
    }
    return counts;
  }

  /** The total state digest over all public records in these collections. */
  total(covers: Coverage = OWN_COVERAGE): string {
    const owners = [...this.of('public')].filter(([, group]) =>
      [...group.keys()].some((name) => covers.has(name)),
    );
    return totalDigest(new Map(owners.map(([owner]) => [owner, this.ownerDigest(owner, covers)])));
  }

  /** The moves of one commit, on copies: `write` when it has its place behind others, then `commit` once it is on disk, or `drop`. */
  begin(): {
    change(before: RecordState | undefined, after: RecordState): void;
    write(ops: BatchOp[]): void;
    commit(): void;
    drop(): void;
  } {
    const moved = new Map<string, Sum>();
    const sumOf = (state: RecordState): Sum => {
      const [collection = '', owner = ''] = state.key.split('/');
      const id = `${state.channel}|${owner}|${collection}`;
      const known = moved.get(id);
      if (known !== undefined) return known;
      const current = this.#coming.get(id) ?? this.#sums.get(id);
      const copy =
        current === undefined
          ? { lanes: emptySum(), count: 0 }
          : { lanes: current.lanes.slice(), count: current.count };
      moved.set(id, copy);
      return copy;
    };
    const drop = (): void => {
      for (const [id, sum] of moved) if (this.#coming.get(id) === sum) this.#coming.delete(id);
    };
    return {
      change: (before, after) => {
        const old = digestElement(before);
        const now = digestElement(after);
        if (old === now) return;
        const sum = sumOf(after);
        if (old !== undefined) {
          removeElement(sum.lanes, old);
          sum.count--;
        }
        if (now !== undefined) {
          addElement(sum.lanes, now);
          sum.count++;
        }
      },
      write: (ops) => {
        for (const [id, sum] of moved) {
          const key = fullKey('digests', id);
          ops.push({ type: 'put', key, value: encodeSum(key, sum) });
          this.#coming.set(id, sum);
        }
      },
      commit: () => {
        for (const [id, sum] of moved) this.#keep(id, sum);
        drop();
      },
      drop,
    };
  }
}

function shownOf(sum: Sum): Digest {
  sum.shown ??= { count: sum.count, digest: sumDigest(sum.lanes) };
  return sum.shown;
}
