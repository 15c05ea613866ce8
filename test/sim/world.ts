import { parseArgs } from 'node:util';
import { isPlant, type Plant, PLANTS } from './world/plants.ts';
import { World, type WorldEnd, type WorldOptions } from './world/world.ts';

/*
 * Whole federations in one process, each in a time of its own that a seed decides: nodes made of the program's own parts over a disk that
 * forgets in a crash what was not synced, and over a network that is late, lossy, one-sided, cut and healed; users, operators, lost
 * disks, clocks that somebody sets, and often a node that keeps to no rules. Everything that must hold is checked after every step; in
 * the end everybody runs and reaches everybody, and everything has to settle. The same seed gives the same bytes.
 */

/** The line that has it happen again. */
export function replayLine({ seed, nodes, events, plant }: WorldOptions): string {
  const planted = plant === undefined ? '' : ` --plant ${plant}`;
  return `npm run sim -- --seed ${seed} --nodes ${nodes} --events ${events}${planted}`;
}

export async function runWorld(options: WorldOptions): Promise<WorldEnd> {
  // Most errors in a world are answers that nobody reads: where they come from costs more than they do.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = options.keepsLines === true ? limit : 4;
  try {
    return await new World(options).run();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

function usage(why: string): never {
  console.error(why);
  console.error(
    `usage: npm run sim -- [--seeds N | --seed S] [--from S] [--nodes K] [--events M] [--plant ${PLANTS.join('|')}] [--trace]`,
  );
  process.exit(2);
}

function number(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? value : usage(`${text} is no number`);
}

function plantNamed(text: string | undefined): Plant | undefined {
  return text === undefined || isPlant(text) ? text : usage(`${text} is no fault that can be planted`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string' },
      nodes: { type: 'string' },
      events: { type: 'string' },
      plant: { type: 'string' },
      trace: { type: 'boolean' },
    },
  });
  const nodes = number(values.nodes, 4);
  const events = number(values.events, 200);
  const plant = plantNamed(values.plant);
  const first = number(values.seed ?? values.from, 1);
  const count = values.seed === undefined ? number(values.seeds, 100) : 1;
  const all: Record<string, number> = {};
  for (let seed = first; seed < first + count; seed++) {
    const options = { seed, nodes, events, plant, keepsLines: values.trace === true };
    const { hash, violation, lines, figures } = await runWorld(options);
    for (const line of lines) console.log(line);
    for (const [what, count] of Object.entries(figures)) all[what] = (all[what] ?? 0) + count;
    if (violation !== undefined) {
      console.log(`${violation} -- replay: ${replayLine(options)}`);
      process.exitCode = 1;
      return;
    }
    console.log(`${seed} ${hash}`);
  }
  console.error(JSON.stringify(all));
}

if (import.meta.main) await main();
