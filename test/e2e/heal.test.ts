import { describe, expect, it } from 'vitest';
import { namespacesLacking } from '../support/namespaces.ts';
import { healCampaign } from './heal-campaign.ts';

const lacking = namespacesLacking();

describe.skipIf(lacking !== undefined)(
  `a daemon cut off the network${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    // Twenty times, after half a minute each: test/sim/heal.test.ts.
    it('converges within 10 s of healing, after 2 s of writes on every side', async () => {
      const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
      const { healed } = await healCampaign({ count: 1, cutMs: 2000, seed, withinMs: 10_000 });
      expect(healed.length).toBe(1);
      expect(Math.max(...healed)).toBeLessThan(10_000);
    }, 90_000);
  },
);
