import { expect, it } from 'vitest';
import { STRETCH_MS } from '../support/loop-watch.ts';
import { stallFigures, stallLine } from './stall-campaign.ts';
import { STALL_INPUTS, type StallInput } from './stall-inputs.ts';

/*
 * A short share of `npm run campaign:stall`: of each way in, one kind of input (SEED chooses which) at a twentieth of its limit, against a
 * real daemon. By hand the campaign sends all of them as large as they may be.
 */

const SEED = Number(process.env['SEED'] ?? 1);

/** By the way in: entries, frames, each protocol by who speaks it, gossip, HTTP, a legacy source. */
function oneOfEach(inputs: readonly StallInput[]): StallInput[] {
  const ways = Map.groupBy(inputs, ({ name }) => name.slice(0, name.indexOf(':')));
  return [...ways.values()].flatMap((kinds) => kinds[SEED % kinds.length] ?? []);
}

it(`nothing that others send keeps the main thread for more than ${STRETCH_MS} ms of CPU (SEED=${SEED})`, async () => {
  const inputs = oneOfEach(STALL_INPUTS);
  expect(inputs.length).toBeGreaterThan(10);
  const figures = await stallFigures(inputs, {
    share: 0.05,
    seed: SEED,
    onFigures: (each) => console.log(stallLine(each)),
  });
  expect(figures.filter(({ cpuMs }) => cpuMs > STRETCH_MS).map(stallLine)).toEqual([]);
}, 240_000);
