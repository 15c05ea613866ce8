import { expect, it } from 'vitest';
import { evaluateContract } from '../../../../protocols/market/contract/machine.ts';
import { nextStep } from '../../../../protocols/market/contract/next.ts';
import type { Transition } from '../../../../protocols/market/contract/statement.ts';
import { CONTRACT, made } from '../../../sim/contract-steps.ts';
import { deal } from '../../../support/terms.ts';

const propose = made({ kind: 'propose', terms: deal(3), heads: [], validUntil: 9 }, 'b', []);
const accept = made({ kind: 'accept', proposal: propose.hash }, 'a', [propose.hash]);
const on = (t: Transition, kind: 'settle' | 'cancel', party: string): Transition =>
  made({ kind }, party, [t.hash]);
const state = (...all: Transition[]): string => evaluateContract(CONTRACT, all).state;

it('goes from proposed to accepted to settled, each by both', () => {
  expect(state()).toBe('draft');
  expect(state(propose)).toBe('proposed');
  expect(state(propose, accept)).toBe('accepted');
  expect(state(propose, accept, on(accept, 'settle', 'a'))).toBe('accepted');
  expect(state(propose, accept, on(accept, 'settle', 'a'), on(accept, 'settle', 'b'))).toBe('settled');
});

it('lets an accept stand against a concurrent cancel, which is late', () => {
  const cancel = on(propose, 'cancel', 'b');
  expect(evaluateContract(CONTRACT, [cancel, accept, propose])).toMatchObject({
    state: 'accepted',
    late: [cancel.hash],
  });
  expect(state(propose, accept, cancel, on(accept, 'cancel', 'a'))).toBe('cancelled');
});

it('lets an expire close an offer, unless the supplier went on from its acceptance', () => {
  const expire = made({ kind: 'expire', proposal: propose.hash }, 'b', [propose.hash], 10);
  expect(evaluateContract(CONTRACT, [propose, accept, expire])).toMatchObject({ state: 'draft', claims: [] });
  expect(state(propose, accept, expire, on(accept, 'settle', 'b'))).toBe('accepted');
});

it('ends a dispute only by both', () => {
  const all = [propose, accept, on(accept, 'settle', 'a'), on(accept, 'cancel', 'b')];
  expect(state(...all)).toBe('disputed');
  const before = evaluateContract(CONTRACT, all).heads;
  const [a, b] = ['a', 'b'].map((party) => made({ kind: 'resolve', outcome: 'cancelled' }, party, before));
  if (a === undefined || b === undefined) throw new Error('no resolves');
  expect(state(...all, a)).toBe('disputed');
  expect(state(...all, a, b)).toBe('cancelled');
  const other = made({ kind: 'resolve', outcome: 'settled' }, 'b', before);
  expect(state(...all, a, other)).toBe('disputed');
});

it('says why a step is refused', () => {
  const step = (party: string, body: Parameters<typeof nextStep>[3]) => () =>
    nextStep(CONTRACT, [propose], party, body, 5);
  expect(step('b', { kind: 'accept', proposal: propose.hash })).toThrow(
    expect.objectContaining({ code: 'accept-own' }),
  );
  expect(step('c', { kind: 'cancel' })).toThrow(expect.objectContaining({ code: 'not-a-party' }));
  expect(step('a', { kind: 'settle', role: 'market_buyer' })).toThrow(
    expect.objectContaining({ code: 'contract-state' }),
  );
  expect(step('a', { kind: 'accept', proposal: propose.hash })()).toMatchObject({ before: [propose.hash] });
});
