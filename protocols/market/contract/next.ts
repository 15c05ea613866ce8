import type { ErrorCode } from '../../error-codes.ts';
import { AgrinetError } from '../../errors.ts';
import { evaluateContract } from './machine.ts';
import type { Contract } from './model.ts';
import { CONTRACT_LIMITS, type Statement, type Transition, type TransitionBody } from './statement.ts';

const WHY: Readonly<Partial<Record<ErrorCode, string>>> = {
  'not-a-party': 'only the two parties of a contract sign its steps',
  'accept-own': 'a party cannot accept its own proposal; the other party must accept it',
  'proposal-unknown': 'this contract has no such proposal; read it again and name one of its proposals',
  'proposal-expired': 'this proposal is over; ask the other party for a new one',
  'proposal-unnamed': 'several agreements stand; name the proposal that is to hold',
  'hold-endless': "a supplier's proposal on a listing needs validUntil",
  'hold-not-over': 'this hold still runs; it can be released at its validUntil',
  'not-supplier': "only the supplier releases holds, and only its own proposals'",
};

/**
 * The statement by which a party takes this step now, following everything known, ready to be signed. Throws
 * `not-a-party` (403), or, all 409: `accept-own`, `contract-state`, `contract-full`, `proposal-unknown`,
 * `proposal-expired`, `proposal-unnamed`, `hold-endless`, `hold-not-over`, `not-supplier`.
 */
export function nextStep(
  contract: Contract,
  known: readonly Transition[],
  party: string,
  body: TransitionBody,
  at: number,
): Statement {
  const now = evaluateContract(contract, known);
  if (now.applied.length >= CONTRACT_LIMITS.statements || now.heads.length > CONTRACT_LIMITS.before)
    throw new AgrinetError('contract-full', 'this contract has too many steps; start a new one');
  const statement: Statement = {
    ...body,
    net: contract.net,
    contract: contract.key,
    party,
    before: [...now.heads].sort(),
    at,
  };
  const trial = evaluateContract(contract, [...known, { ...statement, hash: '~' }]);
  const code = trial.rejected.find(([hash]) => hash === '~')?.[1];
  if (code !== undefined)
    throw new AgrinetError(
      code,
      WHY[code] ?? `the contract is ${now.state}; it cannot be followed by '${body.kind}'`,
    );
  return statement;
}

/** What `carried` repeats: the other party's statements among everything that `before` follows, sorted by hash. */
export function toCarry(known: readonly Transition[], statement: Statement): Transition[] {
  const byHash = new Map(known.map((t) => [t.hash, t]));
  const seen = new Set<string>();
  const visit = (hash: string): void => {
    if (seen.has(hash)) return;
    seen.add(hash);
    byHash.get(hash)?.before.forEach(visit);
  };
  statement.before.forEach(visit);
  return [...byHash.values()]
    .filter((t) => seen.has(t.hash) && t.party !== statement.party)
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .slice(0, CONTRACT_LIMITS.carried);
}
