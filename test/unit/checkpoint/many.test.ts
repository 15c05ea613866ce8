import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { heldCheckpoints, MOST_HELD } from '../../../daemon/checkpoint/held.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import {
  CHECKPOINT_LIMITS,
  type CheckpointStatement,
  readCheckpoint,
  signCheckpoint,
} from '../../../protocols/feed/checkpoint.ts';
import { soleTurn } from '../../../protocols/ledger/turn.ts';
import { checkpointKey } from '../../../storage/commit-rows.ts';
import { Database } from '../../../storage/database.ts';
import type { BatchOp } from '../../../storage/keyspace.ts';
import { Store } from '../../../storage/store.ts';
import { withChecksum } from '../../../storage/values.ts';
import { STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { vectorStatement } from '../../support/vectors/checkpoints.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

/** An author who signs as many checkpoints as its quota holds. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const author = nodeOf(2);
const NET = 'test';
const hash = (n: number): string => n.toString(16).padStart(64, '0');
const COVERS = Array.from({ length: CHECKPOINT_LIMITS.covers }, (_, i) => ({
  epoch: i.toString(16).padStart(16, '0'),
  seq: 1,
  hash: hash(i),
  fork: hash(i),
}));

let dir: ReturnType<typeof tempDir>;
let db: Database;
let store: Store;
beforeEach(async () => {
  dir = tempDir('many-checkpoints');
  db = await Database.open(dir.path, systemEnv);
  store = await Store.open(db);
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

let seq = 0;
/** Stores checkpoints as a commit does; `no` is what tells one from the next. */
async function sign(count: number, of: (no: number) => Partial<CheckpointStatement>): Promise<string[]> {
  const ids: string[] = [];
  const rows: BatchOp[] = [];
  for (let no = 0; no < count; no++) {
    const signed = signCheckpoint(author, { ...vectorStatement(), net: NET, prev: [], time: no, ...of(no) });
    const key = checkpointKey({
      author: author.peerId,
      channel: 'public',
      epoch: '00000000000000aa',
      seq: ++seq,
      index: 0,
    });
    rows.push({ type: 'put', key, value: withChecksum(key, signed) });
    ids.push(readCheckpoint(signed).id);
    if (rows.length === 100) await db.batch(rows.splice(0), false);
  }
  await db.batch(rows, false);
  return ids;
}
const held = () => heldCheckpoints(store, author.peerId, NET, soleTurn(systemEnv));

it('of many large ones that none takes the place of, only those that count are in memory, and the loop goes on', async () => {
  const ids = await sign(300, (no) => ({ covers: COVERS, gen: no === 150 ? 9 : 3 }));
  collect();
  const before = process.memoryUsage().heapUsed;
  let most = 0;
  const looks = setInterval(() => {
    collect();
    most = Math.max(most, process.memoryUsage().heapUsed - before);
  }, 50);
  const found = await held();
  clearInterval(looks);
  expect(found.effective?.checkpoint.id).toBe(ids[150]);
  expect(found.effective?.contested).toBe(true);
  expect(found.next.map(({ id }) => id)).toHaveLength(CHECKPOINT_LIMITS.prev);
  expect(found.next[0]).toEqual(found.effective?.checkpoint);
  console.log(`${(most / 2 ** 20).toFixed(1)} MiB more at the most`);
  expect(most).toBeLessThan(16 * 2 ** 20);
  const figures = await watchLoop(held);
  expect(figures.cpuMs).toBeLessThan(STRETCH_MS);
}, 60_000);

it('those that another one names are left out, in this network', async () => {
  await sign(3, (no) => ({ gen: no + 1 }));
  expect((await held()).effective).toMatchObject({ checkpoint: { gen: 3 }, contested: true });
  const all = (await held()).next.map(({ id }) => id).toSorted();
  expect(all).toHaveLength(3);
  await sign(1, () => ({ gen: 4, prev: all }));
  await sign(3, () => ({ gen: 9, net: 'other' }));
  expect((await held()).effective).toMatchObject({ checkpoint: { gen: 4 }, contested: false });
});

it('up to the limit one is in force, beyond it none is, and no more is read', async () => {
  const ids = await sign(MOST_HELD, () => ({}));
  expect((await held()).effective?.checkpoint.id).toBe(ids.toSorted()[0]);
  await sign(1, () => ({ gen: 9 }));
  expect(await held()).toEqual({ effective: undefined, next: [], tooMany: true });
}, 120_000);
