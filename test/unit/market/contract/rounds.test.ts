import { expect, it } from 'vitest';
import { evaluateContract, type Verdict } from '../../../../protocols/market/contract/machine.ts';
import type { Outcome, Transition } from '../../../../protocols/market/contract/statement.ts';
import { CONTRACT, made } from '../../../sim/contract-steps.ts';
import { deal } from '../../../support/terms.ts';

const propose = made({ kind: 'propose', terms: deal(3), heads: [], validUntil: 9 }, 'b', []);
const accept = made({ kind: 'accept', proposal: propose.hash }, 'a', [propose.hash]);
const after = (party: string, kind: 'settle' | 'cancel', ...past: Transition[]): Transition =>
  made(
    { kind },
    party,
    past.map((t) => t.hash),
  );
const resolve = (party: string, outcome: Outcome, ...past: Transition[]): Transition =>
  made(
    { kind: 'resolve', outcome },
    party,
    past.map((t) => t.hash),
  );
const judge = (...all: Transition[]): Verdict => evaluateContract(CONTRACT, all);

const settle = after('a', 'settle', accept);
const cancel = after('b', 'cancel', accept);
const dispute = [propose, accept, settle, cancel];

it('lets nothing but resolves follow a dispute', () => {
  for (const party of ['a', 'b'])
    for (const kind of ['settle', 'cancel'] as const) {
      const step = after(party, kind, settle, cancel);
      expect(judge(...dispute, step)).toMatchObject({
        state: 'disputed',
        rejected: [[step.hash, 'contract-state']],
      });
    }
});

it('opens again by a ground that one had not seen, and is ended by answers that have', () => {
  const unseen = after('a', 'cancel', settle);
  const early = [resolve('a', 'accepted', unseen, cancel), resolve('b', 'accepted', settle, cancel)];
  const open = [...dispute, unseen, ...early.slice(1)];
  expect(judge(...open, resolve('a', 'accepted', settle, cancel)).state).toBe('disputed');
  const heads = [...open, resolve('a', 'accepted', settle, cancel)];
  const { heads: before } = judge(...heads);
  const last = ['a', 'b'].map((party) => made({ kind: 'resolve', outcome: 'settled' }, party, before));
  expect(judge(...heads, ...last).state).toBe('settled');
});

it('asks again when both have said two things', () => {
  const said = ['a', 'b'].flatMap((party) => [
    resolve(party, 'settled', settle, cancel),
    resolve(party, 'cancelled', settle, cancel),
  ]);
  expect(judge(...dispute, ...said).state).toBe('disputed');
  const last = ['a', 'b'].map((party) => resolve(party, 'cancelled', ...said));
  expect(judge(...dispute, ...said, ...last).state).toBe('cancelled');
});

it('begins anew after a dispute resolved to accepted: earlier settles are no longer signatures', () => {
  const both = ['a', 'b'].map((party) => resolve(party, 'accepted', settle, cancel));
  expect(judge(...dispute, ...both)).toMatchObject({ state: 'accepted', settledBy: [] });
  const one = after('b', 'settle', ...both);
  expect(judge(...dispute, ...both, one)).toMatchObject({ state: 'accepted', settledBy: ['b'] });
  const other = after('a', 'settle', ...both);
  expect(judge(...dispute, ...both, one, other)).toMatchObject({
    state: 'settled',
    receipt: [other.hash, one.hash],
  });
});

it('counts no settle under an acceptance that has lapsed for the next agreement', () => {
  const expire = made({ kind: 'expire', proposal: propose.hash }, 'b', [propose.hash], 10);
  const next = made({ kind: 'propose', terms: deal(1), heads: [], validUntil: 20 }, 'b', [
    settle.hash,
    expire.hash,
  ]);
  const taken = made({ kind: 'accept', proposal: next.hash }, 'a', [next.hash], 11);
  const theirs = after('b', 'settle', taken);
  expect(judge(propose, accept, settle, expire, next, taken, theirs)).toMatchObject({
    state: 'accepted',
    settledBy: ['b'],
    late: [accept.hash, settle.hash].sort(),
  });
});
