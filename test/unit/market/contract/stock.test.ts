import { expect, it } from 'vitest';
import { evaluateContract } from '../../../../protocols/market/contract/machine.ts';
import { available, granted, grantOf, mayGrant } from '../../../../protocols/market/contract/stock.ts';
import type { Transition } from '../../../../protocols/market/contract/statement.ts';
import { CONTRACT, made } from '../../../sim/contract-steps.ts';
import { deal } from '../../../support/terms.ts';

const hold = (quantity: number, before: readonly string[] = []): Transition =>
  made({ kind: 'propose', terms: deal(quantity), heads: [], validUntil: 9 }, 'b', before);
const quantity = (...all: Transition[]): number => grantOf('c', evaluateContract(CONTRACT, all)).quantity;

it('grants the largest of what may still come of a contract, until the supplier has expired it', () => {
  const [three, five] = [hold(3), hold(5)];
  expect(quantity()).toBe(0);
  expect(quantity(three, five)).toBe(5);
  const over = made({ kind: 'expire', proposal: five.hash }, 'b', [five.hash], 9);
  expect(quantity(three, five, over)).toBe(3);
});

it('holds nothing for a proposal of the buyer until the supplier accepts it', () => {
  const asked = made({ kind: 'propose', terms: deal(4), heads: [], validUntil: 9 }, 'a', []);
  expect(quantity(asked)).toBe(0);
  expect(quantity(asked, made({ kind: 'accept', proposal: asked.hash }, 'b', [asked.hash]))).toBe(4);
});

it('keeps what is agreed through one cancel, and frees it by both', () => {
  const held = hold(3);
  const accept = made({ kind: 'accept', proposal: held.hash }, 'a', [held.hash]);
  const [first, second] = ['a', 'b'].map((party) => made({ kind: 'cancel' }, party, [accept.hash]));
  if (first === undefined || second === undefined) throw new Error('no cancels');
  expect(quantity(held, accept, first)).toBe(3);
  expect(quantity(held, accept, first, second)).toBe(0);
});

it('counts a contract once, by its largest grant, and never shows less than nothing', () => {
  const grants = [
    { contract: 'x', quantity: 2 },
    { contract: 'x', quantity: 5 },
    { contract: 'y', quantity: 1 },
  ];
  expect(granted([])).toBe(0);
  expect(granted(grants)).toBe(6);
  expect(available(10, grants)).toBe(4);
  expect(available(4, grants)).toBe(0);
});

it('grants to the last unit, not one more, and a repetition takes nothing', () => {
  const grants = [{ contract: 'x', quantity: 5 }];
  expect(mayGrant(8, grants, { contract: 'y', quantity: 3 })).toBe(true);
  expect(mayGrant(8, grants, { contract: 'y', quantity: 4 })).toBe(false);
  expect(mayGrant(5, grants, { contract: 'x', quantity: 5 })).toBe(true);
});
