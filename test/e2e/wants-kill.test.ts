import { expect, it } from 'vitest';
import { noticesCampaign } from './notices-campaign.ts';

it('50 listings that somebody wants, with a kill -9 after each tenth, are told once each, ten to each by SMS', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const figures = await noticesCampaign({ count: 50, seed, of: 'wants', smsPerNode: 10 });
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures).toMatchObject({ events: 50, kills: 5, sms: 20 });
}, 300_000);
