import { expect, it } from 'vitest';
import { mergeCampaign } from './merge.ts';

const COUNT = Number(process.env.COUNT ?? 1000);
const SEED = Number(process.env.SEED ?? 1);

it('the rule picks the changes, and what the API shows is Automerge’s value of them: on every node, in every order, early or late', async () => {
  const figures = await mergeCampaign(COUNT, SEED);
  console.info(`merges from seed ${SEED}: ${JSON.stringify(figures)}`);
  expect(figures.documents).toBe(COUNT);
  for (const kind of ['refused', 'conflicts', 'late'] as const)
    expect(figures[kind], kind).toBeGreaterThan(COUNT / 100);
});
