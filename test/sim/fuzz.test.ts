import { expect, test } from 'vitest';
import { fuzzNode } from './fuzz-node.ts';
import { type FuzzReport, fuzzDecoders, fuzzSigned } from './fuzz.ts';
import { stallFaults } from './stalls.ts';

const share = Number(process.env['SHARE'] ?? 0.1);
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const options = { timeout: 1_800_000 };

function check(report: FuzzReport): void {
  console.log(JSON.stringify({ stalls: report.stalls, outcomes: report.outcomes }, null, 1));
  expect(report.faults.slice(0, 20), `SEED=${seed}`).toEqual([]);
  expect(stallFaults(report.stalls), `stalls, SEED=${seed}`).toEqual([]);
}

test('malformed frames over every decoder', options, async () => {
  check(await fuzzDecoders(100_000 * share, seed));
});

test('correctly signed but mutated frames, concurrent histories among them', options, async () => {
  check(await fuzzSigned(20_000 * share, seed));
});

test('frames at the streams and the gossip of a whole node', options, async () => {
  check(await fuzzNode(10_000 * share, seed));
});
