import { expect, it } from 'vitest';
import { killCampaign } from './kill-campaign.ts';

it('keeps every acknowledged write, trade, rating and erasure through 20 kills under load; no fork, the peer agrees, a rebuild gives the same', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await killCampaign({ count: 20, seed });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures.kills).toBe(20);
  expect(Math.min(figures.trades, figures.ratings, figures.messages, figures.erasures)).toBeGreaterThan(0);
}, 900_000);
