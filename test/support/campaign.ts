import { SingleBar } from 'cli-progress';

/** What a campaign is begun with; `onDone` after each of its rounds, or after so many of them. */
export interface Campaign {
  readonly count: number;
  readonly seed: number;
  readonly onDone: (rounds?: number) => void;
}

/** What some campaigns are told besides. */
const OTHERS = ['KIND', 'MODE', 'ONLY', 'RECORDS', 'SECONDS_CUT', 'SHARE'];

/** A number of the environment. */
export const figure = (name: string, fallback: number): number => Number(process.env[name] ?? fallback);

/**
 * Runs a campaign as a command of its own: says what it is begun with, shows how far it is, and ends with one line that says how it went and with
 * what to repeat it.
 */
export async function runCampaign(
  name: string,
  fallback: number,
  run: (campaign: Campaign) => Promise<object> | object,
): Promise<void> {
  const [count, seed] = [figure('COUNT', fallback), figure('SEED', 1)];
  const others = OTHERS.flatMap((each) =>
    process.env[each] === undefined ? [] : [`${each}=${process.env[each]} `],
  );
  const again = `${others.join('')}COUNT=${count} SEED=${seed} npm run campaign:${name}`;
  console.log(again);
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{bar} {value}/{total}, about {eta_formatted} left',
    noTTYOutput: true,
    notTTYSchedule: 30_000,
  });
  const began = performance.now();
  const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(0)} s`;
  let done = 0;
  bar.start(count, 0);
  try {
    const figures = await run({
      count,
      seed,
      onDone: (rounds = 1) => bar.update(Math.round((done += rounds))),
    });
    bar.stop();
    console.log(`campaign:${name} passed in ${seconds()}: ${JSON.stringify(figures)}`);
  } catch (error) {
    bar.stop();
    console.error(error);
    console.error(`campaign:${name} FAILED after ${seconds()}; again: ${again}`);
    process.exitCode = 1;
  }
}
