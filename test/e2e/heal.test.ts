import { describe, expect, it } from 'vitest';
import { namespacesLacking } from '../support/namespaces.ts';
import { healCampaign } from './heal-campaign.ts';

const lacking = namespacesLacking();

describe.skipIf(lacking !== undefined)(
  `a daemon cut off the network${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    // How the program dials again by itself, with backoff, is seen here alone; the world of test/sim/heal.test.ts has a redial of its own.
    it('converges within 10 s of healing, 3 times, after 5 s of writes on every side', async () => {
      const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
      const { healed } = await healCampaign({ count: 3, cutMs: 5000, seed, withinMs: 10_000 });
      expect(healed.length).toBe(3);
      expect(Math.max(...healed)).toBeLessThan(10_000);
    }, 90_000);
  },
);
