import { expect, test } from 'vitest';
import { forge } from './forgery.ts';

const count = Number(process.env['COUNT'] ?? 500);
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

test(
  `forgeries: ${count} of each class have no effect, each under its own code`,
  { timeout: 1_800_000 },
  async () => {
    const report = await forge(count, seed);
    console.log(JSON.stringify(report.outcomes, null, 1));
    expect(report.faults.slice(0, 20), `SEED=${seed}`).toEqual([]);
  },
);
