import { afterEach, expect, it } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { openStore } from '../../../daemon/open-store.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { range } from '../../../storage/keyspace.ts';
import { COUNTED_KEY } from '../../../storage/usage-count.ts';
import { verifiedJson, jsonWithChecksum } from '../../../storage/values.ts';
import { Hand, listingOps, openLedger, randomFrom, someIdentity } from '../../support/forge.ts';
import { pino } from 'pino';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});
const random = randomFrom(Number(process.env['SEED'] ?? 5));

/** Takes out what a program without counters would not have written. */
async function madeBefore(folder: string): Promise<void> {
  const db = await Database.open(folder, systemEnv);
  await db.level.clear(range('usage'));
  await db.level.del(COUNTED_KEY);
  for await (const [key, value] of db.level.iterator(range('verdicts'))) {
    const { size: _, ...row } = verifiedJson<{ size: number }>(key, value);
    await db.level.put(key, jsonWithChecksum(key, row));
  }
  await db.close();
}

it('a database from before there were counters is counted at its next start, and from there on right', async () => {
  const dir = tempDir('usage-count');
  ending.push(() => dir.remove());
  const identity = someIdentity(random);
  const hand = new Hand(someIdentity(random), random.hex(8));
  const { peerId } = hand.identity;
  const held = await openLedger(dir.path, identity);
  held.followStates.set(peerId, 'followed');
  for (let n = 0; n < 20; n++) {
    const waits = encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: random.bytes(random.int(500)) });
    const ops = n % 3 === 0 ? [waits] : listingOps(hand.pen, `l${n}`, undefined, { title: 'Maize' });
    await held.ledger.receive([hand.next(ops).bytes]);
  }
  const counted = held.store.usageOf(peerId);
  expect(counted).toMatchObject({ pending: 7 });
  await held.close();
  await madeBefore(dir.path);

  const merger = threadedMerger();
  ending.push(() => merger.stop());
  const db = await Database.open(dir.path, systemEnv);
  ending.push(() => db.close());
  const problems: Problem[] = [];
  await checkDerived(db, problems, true);
  expect(problems, 'fsck before that start').toEqual([]);
  const store = await openStore(
    db,
    merger,
    () => Promise.resolve(),
    { raise: () => undefined },
    pino({ enabled: false }),
  );
  expect(store.usageOf(peerId)).toEqual(counted);
  await checkDerived(db, problems, true);
  expect(problems).toEqual([]);
});
