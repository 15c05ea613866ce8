import { expect, it } from 'vitest';
import { tableDamageCampaign } from './table-damage-campaign.ts';

it('serves nothing wrong from 40 damaged tables; fsck names the damage, rebuild and peer mend it', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await tableDamageCampaign({ count: 40, seed });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures.found).toBeGreaterThan(0);
  expect(figures.entriesRefilled).toBeGreaterThan(0);
}, 120_000);
