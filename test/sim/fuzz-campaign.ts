/**
 * Malformed and mutated frames at every decoder, at a ledger and at a whole node: `SHARE=1 COUNT=1 SEED=1 npm run campaign:fuzz`;
 * COUNT seeds from SEED on. The test throws less.
 */
import { figure, runCampaign } from '../support/campaign.ts';
import { fuzzNode } from './fuzz-node.ts';
import { fuzzDecoders, fuzzSigned } from './fuzz.ts';
import { stallFaults } from './stalls.ts';

/** How many frames of each part a share of 1 is. */
const PARTS = [
  [fuzzDecoders, 100_000],
  [fuzzSigned, 20_000],
  [fuzzNode, 10_000],
] as const;

await runCampaign('fuzz', 1, async ({ count, seed: first, onDone }) => {
  const outcomes: Record<string, unknown> = {};
  for (let seed = first; seed < first + count; seed++)
    for (const [part, frames] of PARTS) {
      const report = await part(frames * figure('SHARE', 1), seed);
      const faults = [...report.faults.slice(0, 20), ...stallFaults(report.stalls)];
      if (faults.length > 0) throw new Error(`SEED=${seed}: ${faults.join('\n')}`);
      outcomes[`${part.name} ${seed}`] = report.outcomes;
      onDone(1 / PARTS.length);
    }
  return outcomes;
});
