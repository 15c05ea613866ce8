import { evaluateContract, type Verdict } from '../../protocols/market/contract/machine.ts';
import type { Contract } from '../../protocols/market/contract/model.ts';
import type { Transition, TransitionBody } from '../../protocols/market/contract/statement.ts';
import { roleOf } from '../../protocols/market/roles.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { deal } from '../support/terms.ts';

/** The contract of the campaign: `b` supplies. Signatures are statement.ts's matter and not made here. */
export const CONTRACT: Contract = { key: 'c', net: 'n', parties: ['a', 'b'], supplier: 'b', stock: true };

/** A body without the role, which follows from the party. */
export type Said = TransitionBody | { readonly kind: 'settle' | 'cancel' };

/** A statement named by its content; who settles says its role truly, unless it is given. */
export function made(said: Said, party: string, before: readonly string[], at = 5): Transition {
  const body = bodySaid(said, party);
  const statement = { ...body, net: 'n', contract: 'c', party, before: [...before].sort(), at };
  return { ...statement, hash: sha256Hex(JSON.stringify(statement)) };
}

function bodySaid(said: Said, party: string): TransitionBody {
  switch (said.kind) {
    case 'cancel':
      return { kind: 'cancel' };
    case 'settle':
      return { kind: 'settle', role: 'role' in said ? said.role : roleOf(party, CONTRACT) };
    case 'accept':
    case 'expire':
    case 'propose':
    case 'resolve':
      return said;
  }
}

/** A step without regard to which proposal it names: what the table of outcomes is made of. */
export const labelOf = (t: Transition): string =>
  `${t.kind}${t.kind === 'resolve' ? `-${t.outcome}` : ''} ${t.party}`;

/** All labels there are. */
export const LABELS: readonly string[] = [
  'propose',
  'accept',
  'settle',
  'cancel',
  'expire',
  'resolve-accepted',
  'resolve-settled',
  'resolve-cancelled',
].flatMap((kind) => [`${kind} a`, `${kind} b`]);

/** Every step anybody could sign on top of this, lawful or not; of proposals only those that are given. */
export function steps(named: readonly Transition[], before: readonly string[], later = 0): Transition[] {
  const outcomes = ['accepted', 'settled', 'cancelled'] as const;
  const bodies: Said[] = [
    { kind: 'propose', terms: deal(1), heads: [], validUntil: 9 },
    { kind: 'settle' },
    { kind: 'cancel' },
    ...outcomes.map((outcome) => ({ kind: 'resolve' as const, outcome })),
    ...named.flatMap(({ hash: proposal }) => [
      { kind: 'accept' as const, proposal },
      { kind: 'expire' as const, proposal },
      ...outcomes.map((outcome) => ({ kind: 'resolve' as const, outcome, proposal })),
    ]),
  ];
  return bodies.flatMap((body) =>
    CONTRACT.parties.map((party) => made(body, party, before, (body.kind === 'expire' ? 10 : 5) + later / 8)),
  );
}

/** All orders in which statements can arrive. */
export function orders<T>(items: readonly T[]): T[][] {
  return items.length < 2
    ? [[...items]]
    : items.flatMap((one, i) =>
        orders([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [one, ...rest]),
      );
}

/** All that a statement follows, found by walking and not by the machine's bits. */
export function ancestors(byHash: ReadonlyMap<string, Transition>, t: Transition): Set<string> {
  const seen = new Set<string>();
  const todo = [...t.before];
  for (let hash = todo.pop(); hash !== undefined; hash = todo.pop()) {
    if (seen.has(hash)) continue;
    seen.add(hash);
    todo.push(...(byHash.get(hash)?.before ?? []));
  }
  return seen;
}

/** What must hold of every verdict, whatever was signed. Throws with what does not. */
export function check(statements: readonly Transition[], verdict: Verdict): void {
  const counts = new Set(verdict.applied);
  const applied = statements.filter((t) => counts.has(t.hash));
  const byHash = new Map(statements.map((t) => [t.hash, t]));
  const standing = applied.filter((t) => t.kind === 'accept' && !verdict.late.includes(t.hash));
  const under = (t: Transition): boolean => {
    const past = ancestors(byHash, t);
    return standing.some((one) => past.has(one.hash));
  };
  const both = (kind: string, outcome?: string): boolean =>
    CONTRACT.parties.every((party) =>
      applied.some(
        (t) =>
          t.party === party &&
          t.kind === kind &&
          (t.kind !== 'resolve' || t.outcome === outcome) &&
          (t.kind === 'cancel' || under(t)),
      ),
    );
  const fail = (why: string): never => {
    throw new Error(`${why}: ${JSON.stringify({ statements, verdict })}`);
  };
  const accepted = applied.filter((t) => t.kind === 'accept');
  for (const accept of accepted)
    if (applied.find((t) => t.hash === accept.proposal)?.party === accept.party) fail('accepted its own');
  if (verdict.state === 'settled' && !both('settle') && !both('resolve', 'settled')) fail('settled by one');
  if (
    verdict.state === 'cancelled' &&
    standing.length > 0 &&
    !both('cancel') &&
    !both('resolve', 'cancelled')
  )
    fail('an agreement cancelled by one');
  if (['accepted', 'settled'].includes(verdict.state) && standing.length === 0) fail('agreed by none');
  if (verdict.state === 'proposed' && standing.length > 0) fail('an acceptance does not stand');
  if (standing.length === 1 && both('settle') !== both('cancel') && verdict.state === 'accepted')
    if (!applied.some((t) => t.kind === 'resolve')) fail('signed by both and not done');
}

/** A dispute that everything since has seen: only equal resolves of both that follow every ground may have ended it. */
export function checkEnded(before: Verdict, statements: readonly Transition[], after: Verdict): void {
  if (before.state !== 'disputed' || after.state === 'disputed') return;
  const byHash = new Map(statements.map((t) => [t.hash, t]));
  const name = (t: Transition): string => (t.kind === 'accept' ? t.proposal : `${t.kind} ${t.party}`);
  const pastOf = (t: Transition): Transition[] =>
    [...ancestors(byHash, t)].flatMap((hash) => byHash.get(hash) ?? []);
  const said = (past: readonly Transition[], party: string): string[] =>
    past.flatMap((t) =>
      t.kind === 'resolve' && t.party === party ? [`${t.outcome} ${t.proposal ?? ''}`] : [],
    );
  const grounds = new Set(
    statements
      .filter((t) => after.applied.includes(t.hash) && !after.late.includes(t.hash))
      .filter((t) => t.kind === 'settle' || t.kind === 'cancel' || t.kind === 'accept')
      // What follows an answer by both belongs to what came after the dispute.
      .filter((t) => {
        const past = pastOf(t);
        return !said(past, 'a').some((one) => said(past, 'b').includes(one));
      })
      .map(name),
  );
  const ends = (party: string): Set<string> =>
    new Set(
      statements.flatMap((t) => {
        if (t.kind !== 'resolve' || t.party !== party || !after.applied.includes(t.hash)) return [];
        const known = new Set(pastOf(t).map(name));
        return [...grounds].every((one) => known.has(one)) ? [`${t.outcome} ${t.proposal ?? ''}`] : [];
      }),
    );
  const [a, b] = [ends('a'), ends('b')];
  if (![...a].some((one) => b.has(one) && (one.startsWith('accepted') || one.startsWith(after.state))))
    throw new Error(`a dispute ended not by both: ${JSON.stringify({ statements, before, after })}`);
}

/** The verdict's bytes, which all nodes that hold the same set must share. */
export const judged = (statements: readonly Transition[]): string =>
  JSON.stringify(evaluateContract(CONTRACT, statements));
