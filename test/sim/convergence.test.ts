import { expect, test } from 'vitest';
import { convergenceCampaign } from './convergence.ts';

const COUNT = Number(process.env.COUNT ?? 25);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));

test('the same entries in any order, grouping and route, with repetitions, give the same state, which is Automerge’s', async () => {
  const figures = await convergenceCampaign(COUNT, SEED);
  console.info(`convergence from seed ${SEED}: ${JSON.stringify(figures)}`);
  expect(figures.schedules).toBe(COUNT);
  // A campaign in which nothing conflicts, is pending or is rejected shows nothing.
  for (const kind of ['conflicts', 'pending', 'rejected', 'messages'] as const)
    expect(figures[kind], kind).toBeGreaterThan(0);
});
