import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compareTimes, type HlcTime } from '../../../protocols/feed/clock.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { RELEASED_AT } from '../../../protocols/wire/release-date.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { OWN_TIME } from '../../../storage/commit-rows.ts';
import { Database } from '../../../storage/database.ts';
import { Hand, listingOps } from '../../support/forge.ts';
import { openLedgerNode } from '../../support/ledger-node.ts';
import { threadedMerger } from '../../support/merger.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

/** The times that a node signs, from one process to the next. */
describe('own times', () => {
  const identity = identityFromSeed(randomBytes(32));
  const merger = threadedMerger();
  afterAll(() => merger.stop());
  let dir: ReturnType<typeof tempDir>;
  beforeEach(() => {
    dir = tempDir('own-times');
  });
  afterEach(() => dir.remove());
  const NOON = RELEASED_AT + 100 * 86_400_000;

  interface Life {
    readonly now: number;
    readonly credible?: boolean;
    /** A peer's entry of this time arrives first. */
    readonly received?: number;
  }
  /** One process that writes twice: the times that it signs. */
  async function lived({ now, credible = true, received }: Life): Promise<HlcTime[]> {
    const times: HlcTime[] = [];
    const node = await openLedgerNode(
      dir.path,
      identity,
      merger,
      ({ entries, local }) => times.push(...(local ? entries.map(({ header }) => header.time) : [])),
      { now: () => now, credible: () => credible },
    );
    if (received !== undefined) {
      const peer = new Hand(nodeOf(2), '00000000000000aa');
      const ops = listingOps(peer.pen, 'a', undefined, { title: 'x' });
      const [result] = await node.ledger.receive([peer.sign(ops, { time: [received, 0] }).bytes]);
      expect(result?.kind).toBe('accept');
    }
    for (const title of ['Maize', 'Beans']) await node.catalogue.createListing({ type: 'offer', title });
    await node.close();
    expect(times).toHaveLength(2);
    return times;
  }
  function expectOrder(times: readonly HlcTime[]): void {
    for (const [i, time] of times.entries())
      if (i > 0) expect(compareTimes(time, times[i - 1] ?? time), JSON.stringify(times)).toBeGreaterThan(0);
  }

  it('go on over a restart where a peer’s clock, or the own one, was a little ahead', async () => {
    const times = [
      ...(await lived({ now: NOON, received: NOON + LIMITS.clockAheadMs })),
      ...(await lived({ now: NOON + 1000 })),
      ...(await lived({ now: NOON })),
    ];
    expectOrder(times);
    expect(times.at(-1)?.[0]).toBe(NOON + LIMITS.clockAheadMs);
    expectOrder(await lived({ now: NOON + LIMITS.clockAheadMs + 1 }));
  });

  it('go on while the clock is in 1970 after the restart', async () => {
    const times = [
      ...(await lived({ now: NOON })),
      ...(await lived({ now: RELEASED_AT, credible: false })),
      ...(await lived({ now: NOON + 60_000 })),
    ];
    expectOrder(times);
  });

  it('come back when the clock was far ahead before the restart', async () => {
    await lived({ now: NOON + 3 * 3_600_000 });
    expect(await lived({ now: NOON })).toEqual([
      [NOON, 0],
      [NOON, 1],
    ]);
    expectOrder([[NOON, 1], ...(await lived({ now: NOON - 60_000 }))]);
  });

  it('go on after a rebuild, and a damaged note of the last one stops nothing', async () => {
    const before = await lived({ now: NOON });
    const db = await Database.open(dir.path, systemEnv);
    await rebuildStore(db, merger, () => undefined);
    await db.close();
    expectOrder([...before, ...(await lived({ now: NOON - 60_000 }))]);
    const damaged = await Database.open(dir.path, systemEnv);
    await damaged.level.put(OWN_TIME, Uint8Array.of(1, 2, 3));
    await damaged.close();
    expectOrder(await lived({ now: NOON }));
  });
});
