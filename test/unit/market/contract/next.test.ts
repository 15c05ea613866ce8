import { expect, it } from 'vitest';
import { evaluateContract } from '../../../../protocols/market/contract/machine.ts';
import { nextStep, toCarry } from '../../../../protocols/market/contract/next.ts';
import { CONTRACT_LIMITS, type Transition } from '../../../../protocols/market/contract/statement.ts';
import { CONTRACT, made } from '../../../sim/contract-steps.ts';
import { deal } from '../../../support/terms.ts';

const offer = (party: string, before: readonly string[], at = 5): Transition =>
  made({ kind: 'propose', terms: deal(1), heads: [], validUntil: 99 }, party, before, at);

function chain(length: number): Transition[] {
  const all: Transition[] = [];
  for (let i = 0; i < length; i++)
    all.push(
      offer(
        i % 2 === 0 ? 'a' : 'b',
        all.slice(-1).map((t) => t.hash),
      ),
    );
  return all;
}

/** How often the judge looks at a field of a statement: its work, whatever the machine. */
function looks(all: readonly Transition[]): number {
  let count = 0;
  const watched = all.map(
    (t) =>
      new Proxy(t, {
        get(target, name, receiver): unknown {
          count++;
          return Reflect.get(target, name, receiver);
        },
      }),
  );
  expect(evaluateContract(CONTRACT, watched).applied).toHaveLength(all.length);
  return count;
}

it("carries only the other party's statements, only what is followed, and no more than a fact may hold", () => {
  const all = chain(6);
  const aside = offer('b', [], 7);
  const last = all.at(-1);
  if (last === undefined) throw new Error('no chain');
  const carried = toCarry([...all, aside], last);
  expect(carried.map((t) => t.hash)).toEqual(
    all
      .filter((t) => t.party === 'a')
      .map((t) => t.hash)
      .sort(),
  );
  const long = chain(200);
  const end = long.at(-1);
  if (end === undefined) throw new Error('no chain');
  expect(toCarry(long, end)).toHaveLength(CONTRACT_LIMITS.carried);
});

it('refuses a step too many, and more heads than a statement can name', () => {
  const body = { kind: 'propose', terms: deal(1), heads: [], validUntil: 9 } as const;
  const full = expect.objectContaining({ code: 'contract-full' });
  expect(() => nextStep(CONTRACT, chain(CONTRACT_LIMITS.statements), 'a', body, 5)).toThrow(full);
  expect(nextStep(CONTRACT, chain(CONTRACT_LIMITS.statements - 1), 'a', body, 5).before).toHaveLength(1);
  const wide = Array.from({ length: CONTRACT_LIMITS.before + 1 }, (_, i) => offer('a', [], i));
  expect(() => nextStep(CONTRACT, wide, 'a', body, 5)).toThrow(full);
});

it('judges a full contract by work that grows with the square of its length at most', () => {
  const [half, full] = [looks(chain(128)), looks(chain(256))];
  expect(full).toBeLessThan(12 * 256 * 256);
  expect(full / half).toBeLessThan(4.5);
});

it('judges branches side by side by little more than a chain', () => {
  const root = offer('b', []);
  const wide = Array.from({ length: 255 }, (_, i) => offer('a', [root.hash], i));
  expect(looks([root, ...wide])).toBeLessThan(looks(chain(256)));
});
