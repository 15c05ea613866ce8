import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { Reader } from '../../storage/reader.ts';
import { CELLS_A_WEEK, CELLS_IDENTITY, type ClosedWeek } from '../support/cells-writer.ts';
import { createInlineMerges } from '../support/inline-merges.ts';
import { openLedgerNode } from '../support/ledger-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';

const WRITER = join(import.meta.dirname, '..', 'support', 'cells-writer.ts');
const COUNT = Number(process.env['COUNT'] ?? 10);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** One life, killed when it has closed so many weeks, or in the middle of the next. */
async function live(dir: string, life: number, closes: number, delayMs: number): Promise<ClosedWeek[]> {
  const child = fork(WRITER, [dir, String(life)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  const closed: ClosedWeek[] = [];
  child.on('message', (week: ClosedWeek) => {
    closed.push(week);
    if (closed.length === closes) setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  await exited;
  return closed;
}

it(`publishes each cell of each week once over ${COUNT} kills (COUNT=${COUNT} SEED=${SEED})`, async () => {
  const random = seededRandom(SEED);
  const dir = tempDir('cells-kill');
  const acknowledged = new Map<string, number>();
  for (let life = 1; life <= COUNT; life++) {
    const closes = 1 + Math.floor(random() * 6);
    for (const { week } of await live(dir.path, life, closes, random() * 4)) {
      expect(acknowledged.has(week), `${week} is closed twice`).toBe(false);
      acknowledged.set(week, life);
    }
  }
  const node = await openLedgerNode(dir.path, CELLS_IDENTITY, createInlineMerges(systemEnv));
  const cells = new Map<string, number[]>();
  for await (const { view } of new Reader(node.db).all('prices'))
    cells.set(String(view['date']), [...(cells.get(String(view['date'])) ?? []), Number(view['price'])]);
  const closings = new Set<string>();
  for await (const { view } of new Reader(node.db).all('price-weeks')) closings.add(String(view['week']));
  await node.close();
  dir.remove();
  expect(acknowledged.size).toBeGreaterThan(COUNT);
  // All of a week or nothing, by one life, and no closing without its cells.
  expect(closings).toEqual(new Set(cells.keys()));
  for (const [week, prices] of cells) {
    expect(prices, week).toHaveLength(CELLS_A_WEEK);
    expect(new Set(prices).size, week).toBe(1);
  }
  for (const [week, life] of acknowledged) expect(cells.get(week)?.[0], week).toBe(life);
}, 120_000);
