import type { ErrorCode } from '../../error-codes.ts';
import { stepProblem } from './step-rules.ts';
import type { Contract, History, Step } from './model.ts';
import { groundsOf } from './rounds.ts';
import type { Transition } from './statement.ts';
import { summarize, type Summary } from './summary.ts';

const NOTHING: ReadonlySet<string> = new Set();

/** Names in the one order that all nodes share. */
export const ascending = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The evaluation of a set of statements. */
export interface EvaluatedStatements {
  readonly history: History;
  readonly end: Summary;
  /** Why each does not count. */
  readonly rejected: ReadonlyMap<string, ErrorCode>;
  /** Statements with a missing dependency. */
  readonly pending: readonly Transition[];
}

/** Each statement after all it follows, as far as what it follows is here. */
function* inOrder(
  statements: ReadonlyMap<string, Transition>,
  counts: (hash: string) => boolean,
): Generator<Transition> {
  const followers = new Map<string, Transition[]>();
  const missing = new Map<string, number>();
  for (const t of statements.values()) {
    const before = new Set(t.before);
    missing.set(t.hash, before.size);
    for (const hash of before) {
      const known = followers.get(hash);
      if (known === undefined) followers.set(hash, [t]);
      else known.push(t);
    }
  }
  const ready = [...statements.values()].filter((t) => missing.get(t.hash) === 0);
  for (let t = ready.pop(); t !== undefined; t = ready.pop()) {
    yield t;
    if (!counts(t.hash)) continue;
    for (const next of followers.get(t.hash) ?? []) {
      const left = (missing.get(next.hash) ?? 0) - 1;
      missing.set(next.hash, left);
      if (left === 0) ready.push(next);
    }
  }
}

/** Finds what counts: each statement is weighed once, on its own past. */
export function applyStatements(contract: Contract, statements: Iterable<Transition>): EvaluatedStatements {
  const byHash = new Map<string, Transition>();
  const rejected = new Map<string, ErrorCode>();
  for (const t of [...statements].sort((a, b) => ascending(a.hash, b.hash)))
    if (t.contract !== contract.key || t.net !== contract.net) rejected.set(t.hash, 'other-contract');
    else if (!contract.parties.includes(t.party)) rejected.set(t.hash, 'not-a-party');
    else byHash.set(t.hash, t);
  const place = new Map([...byHash.keys()].map((hash, i) => [hash, i]));
  const steps: (Step | undefined)[] = byHash.size === 0 ? [] : Array.from({ length: byHash.size });
  const stepOf = (hash: string): Step | undefined => steps[place.get(hash) ?? -1];
  const within = (mask: bigint): History => ({
    contract,
    all: steps.filter((s): s is Step => s !== undefined && (s.bit & mask) !== 0n),
    mask,
  });
  // Statements signed side by side have one past, which is then summed up once.
  const summaries = new Map<bigint, { readonly history: History; readonly now: Summary }>();
  const summaryOf = (mask: bigint): { readonly history: History; readonly now: Summary } => {
    const known = summaries.get(mask);
    if (known !== undefined) return known;
    const history = within(mask);
    const made = { history, now: summarize(history) };
    summaries.set(mask, made);
    return made;
  };
  for (const t of inOrder(byHash, (hash) => stepOf(hash) !== undefined)) {
    const at = place.get(t.hash) ?? 0;
    const bit = 1n << BigInt(at);
    const past = t.before.reduce((bits, hash) => {
      const one = stepOf(hash);
      return one === undefined ? bits : bits | one.bit | one.past;
    }, 0n);
    const { history, now } = summaryOf(past);
    const code = stepProblem(history, now, t);
    if (code !== undefined) {
      rejected.set(t.hash, code);
      continue;
    }
    for (const one of history.all) one.followers |= bit;
    steps[at] = {
      t,
      bit,
      past,
      followers: 0n,
      round: now.round,
      knows: t.kind === 'resolve' ? groundsOf(history.all) : NOTHING,
    };
  }
  const { history, now: end } = summaryOf(steps.reduce((bits, s) => bits | (s?.bit ?? 0n), 0n));
  const pending = [...byHash.values()].filter((t) => stepOf(t.hash) === undefined && !rejected.has(t.hash));
  return { history, end, rejected, pending };
}
