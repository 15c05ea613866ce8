import { afterAll, expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { createInlineMerges } from '../support/inline-merges.ts';
import { checkpointHistory, noFigures } from './checkpoint-histories.ts';

const merger = createInlineMerges(systemEnv);
afterAll(() => merger.stop());
const count = Number(process.env.COUNT ?? 25);
const first = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

it(
  'nodes that hold the same show the same, whenever checkpoints took effect at them',
  async () => {
    const figures = noFigures();
    for (let seed = first; seed < first + count; seed++)
      expect({ seed, faults: await checkpointHistory(seed, merger, figures) }).toEqual({ seed, faults: [] });
    console.log(JSON.stringify({ first, ...figures }));
    const { pending, conflicts, histories, edits, checkpoints, effects, early, joins, comparisons } = figures;
    const always = { histories, edits, checkpoints, effects, early, joins, comparisons };
    for (const [name, value] of Object.entries({ ...always, ...(count < 250 ? {} : { pending, conflicts }) }))
      expect(value, name).toBeGreaterThan(0);
  },
  120_000 + count * 5_000,
);
