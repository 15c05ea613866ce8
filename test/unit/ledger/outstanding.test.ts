import { afterAll, expect, it } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { rebuildDamaged } from '../../../daemon/rebuild.ts';
import { SCRUB_LIMITS } from '../../../daemon/scrub/limits.ts';
import { checkRecord } from '../../../daemon/scrub/check-rows.ts';
import { draftEdit } from '../../../protocols/ledger/drafts.ts';
import { digestElement } from '../../../protocols/digest/element.ts';
import { MERGE } from '../../../protocols/open-dialog/record.ts';
import { createMerger } from '../../../protocols/open-dialog/merger.ts';
import { Database } from '../../../storage/database.ts';
import { Store } from '../../../storage/store.ts';
import { concurrentEdits } from '../../support/concurrent.ts';
import { dyingWorker } from '../../support/dying-worker.ts';
import { openLedger, type TestLedger } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const here = tempDir('outstanding');
const well = tempDir('outstanding-well');
afterAll(() => {
  here.remove();
  well.remove();
});

const owner = nodeOf(2);
async function give(node: TestLedger, entries: ReturnType<typeof concurrentEdits>['entries']): Promise<void> {
  node.followStates.set(owner.peerId, 'followed');
  for (const { bytes } of entries) expect((await node.ledger.receive([bytes]))[0]?.kind).toBe('accept');
}

it('while no worker lives a record keeps its view, marked; nothing is lost, over a restart, and the merge comes when one does', async () => {
  const { key, entries } = concurrentEdits(owner, 'torn', 12);
  const reference = await openLedger(well.path, nodeOf(3));
  await give(reference, entries);

  let node = await openLedger(here.path, owner, Date.now, {
    merging: [
      dyingWorker,
      {
        waitMs: 5_000,
        quickMs: 5_000,
        patientMs: 5_000,
        pauseMs: 100_000,
      },
    ],
  });
  await give(node, entries);
  const [shown] = await node.store.records([key]);
  const [expected] = await reference.store.records([key]);
  // The creation and the first edit follow one another; the others were written at the same time.
  expect(shown).toMatchObject({ unmerged: 'failed', exists: true, ops: entries.length, view: { price: 1 } });
  // Op states, heads and the digest are there all the same.
  const values = { view: {}, fieldOps: {}, conflicts: {} };
  expect({ ...shown, ...values, rest: undefined, unmerged: undefined }).toEqual({
    ...expected,
    ...values,
    rest: undefined,
  });
  expect(shown?.rest?.heads).toEqual(expected?.rest?.heads);
  expect(digestElement(shown)).toBe(digestElement(expected));
  expect(node.verdicts().every(({ verdict }) => verdict.state === 'applied')).toBe(true);
  expect(await node.store.awaiting(MERGE)).toEqual([key]);
  // Its owner is told, rather than that a change is signed on values that are not known.
  const write = node.ledger.write({
    keys: [key],
    draft: (pen, read) => [draftEdit(pen, key, 'public', read(key), { price: 99 })],
  });
  await expect(write).rejects.toMatchObject({ code: 'record-merging' });
  // Other records go on.
  const other = concurrentEdits(owner, 'whole', 0);
  await node.ledger.write({
    keys: [],
    draft: (pen) => [
      draftEdit(pen, other.key, 'public', undefined, { type: 'offer', status: 'active', title: 'goes on' }),
    ],
  });
  await node.close();
  // What waits for a merge is no damage: neither to the scrub, which has no worker either, nor to whoever compares all rows.
  const db = await Database.open(here.path, systemEnv);
  const merges = createMerger({ env: systemEnv, start: dyingWorker, onAlarm: () => undefined });
  const checked = await checkRecord(
    { db, store: await Store.open(db), merges, opsOfRecord: SCRUB_LIMITS.opsOfRecord },
    key,
  );
  expect(checked.wrong).toEqual([]);
  const problems: Problem[] = [];
  await checkDerived(db, problems, true);
  expect(problems).toEqual([]);
  // And a rebuild without a worker leaves it unmerged again, with nothing else amiss.
  const rebuilt = await rebuildDamaged(db, merges, () => undefined);
  expect((await rebuilt.store.records([key]))[0]).toMatchObject({
    unmerged: 'failed',
    heads: expected?.heads,
    exists: true,
  });
  expect(await rebuilt.store.awaiting(MERGE)).toEqual([key]);
  await merges.stop();
  await db.close();

  node = await openLedger(here.path, owner);
  for (const each of await node.store.awaiting(MERGE)) await node.ledger.mergeAgain(each);
  await waitFor('the merge', async () => (await node.store.records([key]))[0]?.unmerged === undefined);
  const [merged] = await node.store.records([key]);
  expect(merged).toEqual(expected);
  expect(await node.store.awaiting(MERGE)).toEqual([]);
  await node.close();
  await reference.close();
}, 60_000);

it('a record with more heads, values and writers than its state holds is edited by its owner, and comes together', async () => {
  const folder = tempDir('crowded');
  const node = await openLedger(folder.path, owner);
  const { key, entries } = concurrentEdits(owner, 'crowded', 100);
  await give(node, entries);
  const [state] = await node.store.records([key]);
  expect(state).toMatchObject({ rest: { heads: { count: 92 }, actors: 85, values: { price: 92 } } });
  for (let i = 0; i < 3; i++) {
    const { records } = await node.ledger.write({
      keys: [key],
      draft: (pen, read) => [draftEdit(pen, key, 'public', read(key), { price: 1000 + i })],
    });
    // Acknowledged is shown, though not all that stands beside it is settled at once.
    expect(records[0]?.after?.view['price']).toBe(1000 + i);
  }
  const [after] = await node.store.records([key]);
  expect(after?.rest?.heads).toBeUndefined();
  expect(node.verdicts().every(({ verdict }) => verdict.state === 'applied')).toBe(true);
  await node.close();
  folder.remove();
}, 60_000);
