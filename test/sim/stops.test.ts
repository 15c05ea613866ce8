import { expect, it } from 'vitest';
import { stopsCampaign } from './stops-campaign.ts';

it('starts as if nothing had happened after 20 stops under writes and compaction', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await stopsCampaign({ count: 20, seed });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures.acknowledged).toBeGreaterThan(100);
}, 300_000);
