import { createHash } from 'node:crypto';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import {
  branchAt,
  digestLine,
  HEX_DIGITS,
  isLeaf,
  placeOf,
  PREFIX_LIMITS,
  type PrefixAnswer,
  type PrefixRow,
  rowsUnder,
} from './prefix.ts';

/** Rows between two looks at the CPU that was used. */
const STEP = 256;
/** Hex digits that rows are sorted apart by, before those of one group are: 200,000 rows are groups of fifty. */
const GROUP_DIGITS = 3;

/** The records of one owner and collection as a tree. Whatever is worked out over many of them gives way to others. */
export class PrefixTree {
  readonly #rows: readonly PrefixRow[];
  readonly #turn: Pick<CpuTurn, 'pause'>;
  /** Of branches that are not told record by record: each is hashed once, however often it is asked for. */
  readonly #digests = new Map<string, Promise<string>>();

  private constructor(rows: readonly PrefixRow[], turn: Pick<CpuTurn, 'pause'>) {
    this.#rows = rows;
    this.#turn = turn;
  }

  /** In any order. */
  static async of(
    collection: string,
    owner: PeerId,
    elements: readonly { readonly id: string; readonly hash: string }[],
    turn: Pick<CpuTurn, 'pause'>,
  ): Promise<PrefixTree> {
    const groups = new Map<string, PrefixRow[]>();
    for (const [i, { id, hash }] of elements.entries()) {
      if (i % STEP === 0) await turn.pause();
      const place = placeOf(collection, owner, id);
      const key = place.slice(0, GROUP_DIGITS);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [{ place, id, hash }]);
      else group.push({ place, id, hash });
    }
    const rows: PrefixRow[] = [];
    for (const key of [...groups.keys()].sort()) {
      await turn.pause();
      const group = groups.get(key) ?? [];
      rows.push(...group.sort((a, b) => (a.place < b.place ? -1 : 1)));
    }
    return new PrefixTree(rows, turn);
  }

  /** How many records there are. */
  get size(): number {
    return this.#rows.length;
  }

  under(prefix: string): readonly PrefixRow[] {
    return rowsUnder(this.#rows, prefix);
  }

  async branch(prefix: string): Promise<PrefixAnswer> {
    const below = isLeaf(prefix, this.under(prefix).length) ? [] : HEX_DIGITS.map((digit) => prefix + digit);
    const digests = new Map<string, string>();
    for (const each of [prefix, ...below]) digests.set(each, await this.#digestAt(each));
    return branchAt(this.#rows, prefix, (each) => digests.get(each) ?? '');
  }

  #digestAt(prefix: string): Promise<string> {
    const known = this.#digests.get(prefix);
    if (known !== undefined) return known;
    const rows = this.under(prefix);
    const digest = this.#hash(rows);
    if (rows.length > PREFIX_LIMITS.leaf) this.#digests.set(prefix, digest);
    return digest;
  }

  async #hash(rows: readonly PrefixRow[]): Promise<string> {
    const sum = createHash('sha256');
    for (let at = 0; at < rows.length; at += STEP) {
      await this.#turn.pause();
      sum.update(
        rows
          .slice(at, at + STEP)
          .map(digestLine)
          .join(''),
      );
    }
    return sum.digest('hex');
  }
}
