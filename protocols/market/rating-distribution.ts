import { LBTAS } from './lbtas.ts';
import { nodeOf } from './party.ts';

/** How often each level was given. */
export interface Distribution {
  /** Nodes by the level they gave, from -1 to 4. */
  readonly levels: readonly [number, number, number, number, number, number];
  /** The sum of `levels`. */
  readonly nodes: number;
  /** Ratings of these nodes, each by itself. */
  readonly ratings: number;
  /** Nodes that gave any -1. */
  readonly breaches: number;
  /** When the first and the last of these ratings was signed, milliseconds since 1970; null without one. */
  readonly first: number | null;
  readonly last: number | null;
}

/** Something that was given: by whom, which level, when. */
export interface Given {
  readonly from: string;
  readonly score: number;
  readonly at: number;
}

/**
 * Each node once, at the lower median of what its users gave: a node can make up as many users and contracts as it likes, and a thousand of
 * them say no more than one.
 */
export function* distribution(given: readonly Given[]): Generator<void, Distribution> {
  const levels: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0];
  const nodes = new Map<string | undefined, number[]>();
  let [first, last] = [Infinity, -Infinity];
  for (const { from, score, at } of given) {
    yield;
    const node = nodeOf(from);
    const scores = nodes.get(node);
    if (scores === undefined) nodes.set(node, [score]);
    else scores.push(score);
    [first, last] = [Math.min(first, at), Math.max(last, at)];
  }
  let breaches = 0;
  for (const scores of nodes.values()) {
    yield;
    scores.sort((a, b) => a - b);
    const level = (scores[Math.floor((scores.length - 1) / 2)] ?? 0) - LBTAS.min;
    levels[level] = (levels[level] ?? 0) + 1;
    if (scores[0] === LBTAS.min) breaches++;
  }
  const times = given.length === 0 ? { first: null, last: null } : { first, last };
  return { levels, nodes: nodes.size, ratings: given.length, breaches, ...times };
}
