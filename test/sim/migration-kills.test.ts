import { expect, it } from 'vitest';
import { migrationKills } from './migration-kills.ts';

it('a migration that is killed at any of its steps goes on at the next start, and ends as if nobody had killed it', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  // Of the oldest, which is derived anew, and of the oldest that is not: between them all that is rewritten.
  const figures = await migrationKills({ count: 8, seed, onDone: () => undefined }, [1, 4]);
  console.log(JSON.stringify({ seed, ...figures }));
  expect(figures).toMatchObject({ kills: 8 });
});
