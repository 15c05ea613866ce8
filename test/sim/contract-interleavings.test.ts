import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import fc from 'fast-check';
import { evaluateContract } from '../../protocols/market/contract/machine.ts';
import type { Transition } from '../../protocols/market/contract/statement.ts';
import { interleavings } from './contract-interleavings.ts';
import { check, CONTRACT, LABELS, steps } from './contract-steps.ts';

// COUNT: of how many in 10,000 pairs, beyond the first of each row, three nodes are played and a third step follows.
const COUNT = Number(process.env.COUNT ?? 0);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
const TABLE = new URL('contract-outcomes.tsv', import.meta.url);

/** What may be signed in which state, written down from DESIGN; every other step must be refused there always. */
const LAWFUL: Readonly<Record<string, readonly string[]>> = {
  draft: ['propose a', 'propose b', 'cancel a', 'cancel b', 'expire b'],
  proposed: ['propose a', 'propose b', 'accept a', 'accept b', 'cancel a', 'cancel b', 'expire b'],
  accepted: ['settle a', 'settle b', 'cancel a', 'cancel b', 'expire b'],
  settled: ['expire b'],
  cancelled: ['cancel a', 'cancel b', 'expire b'],
  disputed: [
    ...['accepted', 'settled', 'cancelled'].flatMap((one) => [`resolve-${one} a`, `resolve-${one} b`]),
    'expire b',
  ],
};

/** Every state with every two steps of every party: 6 x 136 rows, each with all that it can end in. */
function table(outcomes: ReadonlyMap<string, ReadonlySet<string>>): string {
  const rows = Object.entries(LAWFUL).flatMap(([state, lawful]) =>
    LABELS.flatMap((one, i) =>
      LABELS.slice(i).map((other) => {
        const [x = '', y = ''] = [one, other].sort();
        const refused = [...new Set([x, y])].filter((label) => !lawful.includes(label));
        const ends = [...(outcomes.get(`${state} | ${x} | ${y}`) ?? [])].sort().join(' or ');
        return `${state}\t${x}\t${y}\t${refused.length > 0 ? `refused: ${refused.join(', ')}` : ends}\n`;
      }),
    ),
  );
  return `state\tstep\tconcurrent step\tends\n${rows.sort().join('')}`;
}

test(`every state with every two concurrent steps ends alike on three nodes, as the table says (seed ${SEED})`, () => {
  const found = interleavings({
    share: COUNT / 10_000,
    seed: SEED,
    whole: process.env.COUNT !== undefined,
  });
  console.info(`interleavings from seed ${SEED}: ${JSON.stringify(found.figures)}`);
  for (const [state, lawful] of Object.entries(LAWFUL))
    expect([...(found.lawful.get(state) ?? [])].sort(), state).toEqual([...lawful].sort());
  expect([...found.lawful.keys()].sort()).toEqual(Object.keys(LAWFUL).sort());
  const now = table(found.outcomes);
  if (process.env.UPDATE === '1') writeFileSync(TABLE, now);
  expect(now.split('\n')).toEqual(readFileSync(TABLE, 'utf8').split('\n'));
  expect(now).not.toContain('\t\n');
});

test('long histories with branches anywhere end alike in any order, and no part is unsaid', () => {
  const choice = fc.tuple(fc.nat(), fc.nat());
  fc.assert(
    fc.property(fc.array(choice, { maxLength: 14 }), fc.nat(), (choices, cut) => {
      const history: Transition[] = [];
      for (const [where, what] of choices) {
        const known = history.slice(0, history.length - (where % 3));
        const { heads } = evaluateContract(CONTRACT, known);
        const options = steps(
          known.filter((t) => t.kind === 'propose'),
          heads,
        );
        const chosen = options[what % options.length];
        if (chosen !== undefined) history.push(chosen);
      }
      const whole = evaluateContract(CONTRACT, history);
      check(history, whole);
      expect(evaluateContract(CONTRACT, [...history].reverse())).toEqual(whole);
      const part = evaluateContract(CONTRACT, history.slice(0, cut % (history.length + 1)));
      for (const hash of part.applied) expect(whole.applied).toContain(hash);
    }),
    { numRuns: 300, seed: SEED },
  );
});
