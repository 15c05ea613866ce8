import { HEX_DIGITS, type PrefixAnswer } from './prefix.ts';
import type { PrefixTree } from './prefix-tree.ts';

/** Local ids of the records in which two sides differ. */
export interface Differences {
  readonly onlyHere: string[];
  readonly onlyThere: string[];
  readonly different: string[];
  /** True when a bound ended the search: there are more. */
  cut: boolean;
}

export interface SearchParts {
  /** This side's records. */
  readonly tree: Pick<PrefixTree, 'under' | 'branch'>;
  /** The other side's branch; undefined when no more may be asked. */
  readonly ask: (prefix: string) => Promise<PrefixAnswer | undefined>;
  /** Branches asked for at a time. */
  readonly parallel: number;
  /** Differences named at most. */
  readonly most: number;
}

/** Walks both trees level by level, and down only where they differ. */
export async function findDifferences(parts: SearchParts): Promise<Differences> {
  const { tree, ask, parallel, most } = parts;
  const found: Differences = { onlyHere: [], onlyThere: [], different: [], cut: false };
  const named = (): number => found.onlyHere.length + found.onlyThere.length + found.different.length;

  async function look(prefix: string): Promise<string[]> {
    if (named() >= most) {
      found.cut = true;
      return [];
    }
    const theirs = await ask(prefix);
    if (theirs === undefined) {
      found.cut = true;
      return [];
    }
    const mine = await tree.branch(prefix);
    if (mine.digest === theirs.digest) return [];
    if ('records' in theirs) {
      compare(prefix, theirs.records);
      return [];
    }
    const digests = new Map(
      ('branches' in mine ? mine.branches : []).map((branch) => [branch.prefix, branch.digest]),
    );
    const shown = new Set(theirs.branches.map((branch) => branch.prefix));
    // A branch that the other side does not have holds records of this side only; there is nothing to ask about.
    for (const digit of HEX_DIGITS) if (!shown.has(prefix + digit)) compare(prefix + digit, []);
    return theirs.branches.flatMap((branch) =>
      digests.get(branch.prefix) === branch.digest ? [] : [branch.prefix],
    );
  }

  function compare(prefix: string, theirs: readonly { readonly id: string; readonly hash: string }[]): void {
    const there = new Map(theirs.map(({ id, hash }) => [id, hash]));
    const note = (list: string[], id: string): void => {
      if (named() < most) list.push(id);
      else found.cut = true;
    };
    for (const { id, hash } of tree.under(prefix)) {
      const other = there.get(id);
      there.delete(id);
      if (other === undefined) note(found.onlyHere, id);
      else if (other !== hash) note(found.different, id);
    }
    for (const id of there.keys()) note(found.onlyThere, id);
  }

  for (let level = ['']; level.length > 0;) {
    const waiting = [...level];
    const next: string[] = [];
    const walk = async (): Promise<void> => {
      for (let prefix = waiting.shift(); prefix !== undefined; prefix = waiting.shift())
        next.push(...(await look(prefix)));
    };
    await Promise.all(Array.from({ length: parallel }, walk));
    level = next.sort();
  }
  return found;
}
