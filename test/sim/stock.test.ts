import { expect, test } from 'vitest';
import { stockCampaign } from './stock.ts';

const COUNT = Number(process.env.COUNT ?? 500);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));

test('never more is granted than there is, and after healing and expiry all the rest can be sold', () => {
  const figures = stockCampaign(COUNT, SEED);
  console.info(`stock from seed ${SEED}: ${JSON.stringify(figures)}`);
  expect(figures['schedules']).toBe(COUNT);
}, 600_000);
