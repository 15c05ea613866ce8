import { type Env, pause } from '../../protocols/env.ts';
import type { Tables } from './client.ts';
import type { TableSpec } from './types.ts';

/** How often, and how many times, a new table is checked. */
const MADE_MS = 250;
const MADE_TIMES = 240;

/** Makes the tables that are missing and waits until all can be used. Gives the names of those made, without the prefix. */
export async function makeTables(
  env: Pick<Env, 'after'>,
  tables: Tables,
  specs: readonly TableSpec[],
): Promise<string[]> {
  const made: string[] = [];
  for (const spec of specs) {
    if ((await tables.find(spec)) !== 'missing') continue;
    await tables.create(spec);
    made.push(spec.name);
  }
  for (const spec of specs) {
    for (let times = 0; (await tables.find(spec)) === 'being-made' && times < MADE_TIMES; times++)
      await pause(env, MADE_MS);
  }
  return made;
}
