import { evaluateContract, type Verdict } from '../../protocols/market/contract/machine.ts';
import { toCarry } from '../../protocols/market/contract/next.ts';
import type { Transition } from '../../protocols/market/contract/statement.ts';
import { seededRandom } from '../support/random.ts';
import { type Canonical, canonical } from './contract-states.ts';
import { check, checkEnded, CONTRACT, judged, labelOf, orders, steps } from './contract-steps.ts';

/** Resolves in one round of a history that is still gone on from; a pair and a further step come on top. */
const MOST_RESOLVES = 1;

export interface Figures {
  readonly states: number;
  readonly pairs: number;
  readonly refused: number;
  readonly further: number;
  readonly nodes: number;
  readonly compared: number;
  readonly atTheEdge: number;
}
export interface Found {
  readonly figures: Figures;
  /** Per state, the steps that may follow it in some history and those that never may. */
  readonly lawful: ReadonlyMap<string, ReadonlySet<string>>;
  /** `state | step | step` to every state it ends in. */
  readonly outcomes: ReadonlyMap<string, ReadonlySet<string>>;
}

function note(map: Map<string, Set<string>>, key: string, value: string): boolean {
  const known = map.get(key);
  if (known === undefined) map.set(key, new Set([value]));
  else if (known.has(value)) return false;
  else known.add(value);
  return true;
}

function fail(why: string, statements: readonly Transition[]): never {
  throw new Error(`${why}: ${JSON.stringify(statements)}`);
}

/** What is applied or rejected stays so in every set that holds more. */
function checkStable(part: Verdict, whole: Verdict, all: readonly Transition[]): void {
  const now = new Set(whole.applied);
  const rejected = new Map(whole.rejected);
  if (!part.applied.every((hash) => now.has(hash))) fail('unsaid', all);
  if (!part.rejected.every(([hash, code]) => rejected.get(hash) === code)) fail('another reason', all);
}

/**
 * Three nodes: A's, which signed `x`, B's, which signed `y`, and A's again, restarted from each shorter copy of its disk
 * and refilled by what B's own facts carry. Facts come in every order; those who hold the same say the same bytes.
 */
function threeNodes(history: readonly Transition[], x: Transition, y: Transition): number {
  const whole = [...history, x, y];
  const bytes = judged(whole);
  const { heads } = evaluateContract(CONTRACT, whole);
  const byHash = new Map(whole.map((t) => [t.hash, t]));
  let verdicts = 1;
  // B answers what it has seen, so that its fact carries all of A's that stand before it.
  const last = steps([], heads, 2).find(
    (t) => t.party === y.party && evaluateContract(CONTRACT, [...whole, t]).applied.includes(t.hash),
  );
  const end = last === undefined ? whole : [...whole, last];
  const endBytes = last === undefined ? bytes : judged(end);
  const factOf = (t: Transition): Transition[] => [t, ...toCarry(end, t)];
  const tail = [...history.slice(-1), x, y];
  for (const order of orders(tail)) {
    const node = new Map<string, Transition>();
    for (const t of [...order, ...history.slice(0, -1).reverse()])
      for (const one of factOf(t)) node.set(one.hash, one);
    verdicts++;
    if (judged([...node.values()]) !== bytes) fail('nodes disagree', whole);
  }
  if (last === undefined) return verdicts;
  const facts = end.filter((t) => t.party === y.party).map(factOf);
  const own = [...byHash.values()].filter((t) => t.party !== y.party);
  for (let kept = 0; kept <= own.length; kept++)
    for (const order of [facts, [...facts].reverse()]) {
      const disk = new Map([...own.slice(0, kept), ...order.flat()].map((t) => [t.hash, t]));
      verdicts++;
      if (judged([...disk.values()]) !== endBytes) fail('a restarted node disagrees', end);
    }
  return verdicts;
}

/** Explores every canonical state, from nothing, by every step and every pair of concurrent steps, until none is new. */
export function interleavings(options: {
  /** Of how many pairs beyond the first of a row three nodes are played, 0 to 1. */
  share: number;
  seed: number;
  /** Also goes on from half-answered disputes in later rounds. */
  whole: boolean;
}): Found {
  const random = seededRandom(options.seed);
  const figures = { states: 0, pairs: 0, refused: 0, further: 0, nodes: 0, compared: 0, atTheEdge: 0 };
  const lawful = new Map<string, Set<string>>();
  const outcomes = new Map<string, Set<string>>();
  const rows = new Map<string, string | undefined>();
  const again = new Map<string, Transition[]>();
  const todo: Transition[][] = [[]];

  const reach = ({ signature, resolves, plain }: Canonical, next: Transition[]): void => {
    if (!rows.has(signature)) {
      rows.set(signature, undefined);
      if (resolves > MOST_RESOLVES || (resolves > 0 && !plain && !options.whole)) figures.atTheEdge++;
      else todo.push(next);
    } else if (!again.has(signature)) again.set(signature, next);
  };

  /** All that can lawfully come next, as sorted lines; with `first`, everything is checked and followed too. */
  const rowOf = (history: Transition[], here: Canonical, now: Verdict, first: boolean): string => {
    const row: string[] = [];
    const may = new Map<Transition, Verdict>();
    const [left, right] = [steps(here.named, now.heads), steps(here.named, now.heads, 1)];
    for (const x of left) {
      const set = [...history, x];
      const after = evaluateContract(CONTRACT, set);
      if (!after.applied.includes(x.hash)) {
        if (first) figures.refused++;
        continue;
      }
      may.set(x, after);
      const next = canonical(set);
      row.push(`${labelOf(x)} ${next.signature}`);
      if (!first) continue;
      note(lawful, here.state, labelOf(x));
      check(set, after);
      checkEnded(now, set, after);
      checkStable(now, after, set);
      reach(next, set);
    }
    left.forEach((x, i) => {
      const alone = may.get(x);
      if (alone === undefined) return;
      for (const [j, y] of right.entries()) {
        const twin = left[j];
        if (j < i || twin === undefined || !may.has(twin)) continue;
        const set = [...history, x, y];
        const next = canonical(set);
        const names = [labelOf(x), labelOf(y)].sort().join(' | ');
        row.push(`${names} ${next.signature}`);
        if (first) pair(history, here, now, [x, alone], y, next, names);
      }
    });
    return [...new Set(row)].sort().join('\n');
  };

  const pair = (
    history: Transition[],
    here: Canonical,
    now: Verdict,
    [x, alone]: readonly [Transition, Verdict],
    y: Transition,
    next: Canonical,
    names: string,
  ): void => {
    figures.pairs++;
    const set = [...history, x, y];
    const whole = evaluateContract(CONTRACT, [y, x, ...history]);
    check(set, whole);
    checkEnded(now, set, whole);
    checkStable(alone, whole, set);
    const same =
      x.kind === 'resolve' && y.kind === 'resolve' && x.outcome === y.outcome && x.proposal === y.proposal;
    if (same && x.party !== y.party && whole.state !== x.outcome)
      fail('both resolved and it did not end', set);
    const fresh = note(outcomes, `${here.state} | ${names}`, whole.state);
    reach(next, set);
    if (!fresh && random() >= options.share) return;
    figures.nodes +=
      x.party === y.party
        ? threeNodes(history, x, { ...y })
        : threeNodes(history, ...(x.party === 'a' ? ([x, y] as const) : ([y, x] as const)));
    // One side goes on without having seen the other: what follows the first only.
    for (const [one, other] of [
      [x, y],
      [y, x],
    ] as const) {
      const half = evaluateContract(CONTRACT, [...history, one]);
      const named = [...here.named, ...(one.kind === 'propose' ? [one] : [])];
      for (const z of steps(named, half.heads, 2)) {
        const part = evaluateContract(CONTRACT, [...history, one, z]);
        const third = [...history, one, other, z];
        const after = evaluateContract(CONTRACT, third);
        figures.further++;
        check(third, after);
        checkEnded(now, third, after);
        checkStable(part, after, third);
        if (part.applied.includes(z.hash)) reach(canonical(third), third);
      }
    }
  };

  rows.set(canonical([]).signature, undefined);
  for (let history = todo.shift(); history !== undefined; history = todo.shift()) {
    const here = canonical(history);
    figures.states++;
    rows.set(here.signature, rowOf(history, here, evaluateContract(CONTRACT, history), true));
  }
  for (const [signature, history] of again) {
    const expected = rows.get(signature);
    if (expected === undefined || random() >= 0.03) continue;
    figures.compared++;
    const row = rowOf(history, canonical(history), evaluateContract(CONTRACT, history), false);
    if (row !== expected) fail(`a state is not one state: ${signature}`, history);
  }
  return { figures, lawful, outcomes };
}
