import { expect, it } from 'vitest';
import { logTailCampaign } from './log-tail-campaign.ts';

/** Half of what the campaign writes: a round opens both nodes with all of it, and a hundred of them would take two minutes on a busy machine. */
const WRITES = 30;

it('survives 100 damaged logs and old copies: nothing wrong is shown, what is gone is told and refilled, no fork', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await logTailCampaign({ count: 100, seed, writes: WRITES });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures.lossy).toBeGreaterThan(0);
  expect(figures.rebuilt).toBeGreaterThan(0);
  expect(figures.tailsLost).toBeGreaterThan(0);
  expect(figures.entriesRefilled).toBe(figures.entriesLost);
});
