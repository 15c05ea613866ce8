import { describe, expect, it } from 'vitest';
import { replayLine, runWorld } from './world.ts';
import { type Plant, PLANTS } from './world/plants.ts';
import type { WorldOptions } from './world/world.ts';

/** Worlds in CI; `npm run sim -- --seeds N` runs as many as one likes. */
const SEEDS = 100;
/** Within so many worlds from the first a planted fault has to be found. */
const WITHIN = 200;
/** Where the search begins in CI: worlds before it that have no occasion for the fault cost time alone. */
const BEGINS: Readonly<Record<Plant, number>> = { 'drop-fence': 15, 'accept-fork': 1, 'lose-write': 1 };
const SIZE = { nodes: 4, events: 100 } as const;

const at = (seed: number, plant?: Plant): WorldOptions => ({ seed, ...SIZE, plant });

it(`nothing that must never be is in ${SEEDS} worlds, and each settles in the end`, async () => {
  const figures: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed++) {
    const end = await runWorld(at(seed));
    expect(end.violation, replayLine(at(seed))).toBeUndefined();
    for (const [what, count] of Object.entries(end.figures)) figures[what] = (figures[what] ?? 0) + count;
  }
  console.info(JSON.stringify(figures));
  // They were not idle: what could go wrong was there.
  for (const what of [
    'crash power',
    'crash kill',
    'restores',
    'alarm own-entries-returned',
    'alarm tail-lost',
    'forked feeds',
    'forge',
    'conflicts',
    'contract accepted',
    'contract cancelled',
    'contract settled',
    'rated',
    'forgotten',
    'compared',
    'not compared',
    'erase',
    'suspend',
  ])
    expect(figures[what], what).toBeGreaterThan(0);
});

it('the same seed gives the same bytes', async () => {
  const [one, other] = [
    await runWorld({ ...at(3), keepsLines: true }),
    await runWorld({ ...at(3), keepsLines: true }),
  ];
  expect(other.lines).toEqual(one.lines);
  expect(other.hash).toBe(one.hash);
  expect((await runWorld(at(4))).hash).not.toBe(one.hash);
});

describe('a planted fault is found, and its line replays it', () => {
  it.each(PLANTS)('%s', async (plant) => {
    for (let seed = BEGINS[plant]; seed <= WITHIN; seed++) {
      const found = await runWorld(at(seed, plant));
      if (found.violation === undefined) continue;
      const again = await runWorld(at(seed, plant));
      expect(again.violation).toBe(found.violation);
      expect(again.hash).toBe(found.hash);
      expect((await runWorld(at(seed))).violation, 'without the fault').toBeUndefined();
      return;
    }
    expect.fail(`not found in ${WITHIN} worlds`);
  });
});
