import { afterAll, expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { createInlineMerges } from '../support/inline-merges.ts';
import {
  checkpointHistory,
  type HistoryFigures,
  type HistoryKind,
  noFigures,
} from './checkpoint-histories.ts';

const merger = createInlineMerges(systemEnv);
afterAll(() => merger.stop());
const third = Math.ceil(Number(process.env['COUNT'] ?? 24) / 3);
const first = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

async function histories(kind: HistoryKind): Promise<HistoryFigures> {
  const figures = noFigures();
  for (let seed = first; seed < first + third; seed++)
    expect({ seed, faults: await checkpointHistory(seed, merger, figures, kind) }).toEqual({
      seed,
      faults: [],
    });
  console.log(JSON.stringify({ kind, first, third, ...figures }));
  for (const name of ['histories', 'edits', 'checkpoints', 'effects', 'early', 'comparisons'] as const)
    expect(figures[name], name).toBeGreaterThan(0);
  for (const name of third < 125 ? [] : (['pending', 'conflicts', 'joins'] as const))
    expect(figures[name], name).toBeGreaterThan(0);
  return figures;
}

const most = 120_000 + third * 5_000;

it(
  'nodes that hold the same show the same, whenever checkpoints took effect at them',
  async () => {
    expect((await histories('plain')).histories).toBe(third);
  },
  most,
);

it(
  'the same with erasures; who cannot tell any more what a checkpoint covers takes what is stored at another',
  async () => {
    expect((await histories('erasures')).erasures).toBeGreaterThan(0);
  },
  most,
);

it(
  'the same with forks, also of what is covered',
  async () => {
    const { forks, branches } = await histories('forks');
    // In the end, by proof alone; and in between, with nodes that hold the other branch.
    expect(forks + branches).toBeGreaterThan(0);
    if (third >= 125) expect(Math.min(forks, branches)).toBeGreaterThan(0);
  },
  most,
);
