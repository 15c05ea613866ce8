import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { getRequestListener } from '@hono/node-server';
import type { DiffReport } from '../../../api/ports/doctor.ts';
import { SCRUB_LIMITS } from '../../../daemon/scrub/limits.ts';
import { Scrub, type ScrubParts } from '../../../daemon/scrub/scrub.ts';
import { draftEdit, draftFact, draftPrivate } from '../../../protocols/ledger/drafts.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { range } from '../../../storage/keyspace.ts';
import { opNumberBytes } from '../../../storage/op-numbers.ts';
import { numberIn } from '../../../storage/past-rows.ts';
import { withChecksum } from '../../../storage/values.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { serve } from '../../support/loopback-server.ts';
import { parsePrometheus, valueOf } from '../../support/prometheus.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { threadedMerger } from '../../support/merger.ts';
import { systemEnv } from '../../../daemon/system-env.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});
const folder = (): string => {
  const dir = tempDir('scrub');
  undo.push(() => dir.remove());
  return dir.path;
};
async function deleteRows({ node: { db } }: TestNode, owner: string): Promise<number> {
  let rows = 0;
  for await (const key of db.level.keys(range('records', `listings/${owner}/`))) {
    await db.level.del(key);
    rows++;
  }
  return rows;
}

describe('rows of a source that are gone here', () => {
  let here: TestNode;
  let there: TestNode;
  let url: string;
  beforeEach(async () => {
    [here, there] = [
      await startNode(folder(), { RATE_LIMIT: 'off' }),
      await startNode(folder(), { RATE_LIMIT: 'off' }),
    ];
    undo.push(
      () => here.stop(),
      () => there.stop(),
    );
    const listener = getRequestListener(there.app.fetch);
    const server = await serve((incoming, outgoing) => void listener(incoming, outgoing));
    undo.push(() => server.close());
    ({ url } = server);
    // Over HTTP alone: no address is known of either.
    for (const [one, other, nodeUrl] of [
      [here, there, url],
      [there, here, ''],
    ] as const)
      await one.node.registry.register(
        {
          caller: other.node.identity.peerId,
          nodeUrl,
          region: 'unspecified',
          name: '',
          multiaddrs: [],
          schemaVersion: 1,
          tlsFingerprint: '',
        },
        undefined,
        Date.now(),
      );
    for (const id of ['maize', 'beans', 'rice'])
      expect((await there.request('PUT', `/listings/${id}`, { type: 'offer', title: id })).ok).toBe(true);
    await pull(false);
    expect(await held()).toBe(3);
  });

  async function pull(force: boolean): Promise<void> {
    const answer = await here.request('POST', '/federation/pull', { sourceUrl: url, force });
    const { job } = (await answer.json()) as { job: { id: string } };
    await waitFor(
      'the pull',
      async () => (await here.context.jobs.get(job.id))?.state === 'completed',
      30_000,
    );
  }
  const held = async (): Promise<number> =>
    (
      await Promise.all(
        ['maize', 'beans', 'rice'].map((id) => here.request('GET', `/listings/${there.peerId}.${id}`)),
      )
    ).filter(({ ok }) => ok).length;

  it('are named by a deep comparison with the source, come back with `force`, and nothing differs any more', async () => {
    expect(await deleteRows(here, there.peerId)).toBe(3);
    expect(await held()).toBe(0);
    const diff = async (): Promise<DiffReport> =>
      (await (
        await here.request('POST', '/doctor/diff', { peer: there.peerId, deep: true })
      ).json()) as DiffReport;
    const missing = await diff();
    expect(missing).toMatchObject({ same: false, damaged: true });
    expect(
      missing.owners.flatMap(({ collections }) => collections.flatMap(({ onlyThere }) => onlyThere)).sort(),
    ).toEqual(['beans', 'maize', 'rice']);
    // Nothing is lacking, so an ordinary pull brings nothing.
    await pull(false);
    expect(await held()).toBe(0);
    await pull(true);
    expect(await held()).toBe(3);
    expect(await diff()).toMatchObject({ same: true, damaged: false });
  }, 60_000);

  it('are made anew by a pass of the scrub, which metrics and doctor tell of', async () => {
    await deleteRows(here, there.peerId);
    await (await here.request('POST', '/scrub')).text();
    expect(await held()).toBe(3);
    const families = parsePrometheus(await (await here.request('GET', '/metrics')).text());
    expect(valueOf(families, 'agrinet_scrub_wrong_rows_total', { table: 'records' })).toBe(3);
    expect(valueOf(families, 'agrinet_scrub_rows')).toBeGreaterThan(10);
    expect(valueOf(families, 'agrinet_scrub_running')).toBe(0);
    expect(valueOf(families, 'agrinet_scrub_last_end_timestamp_seconds')).toBeGreaterThan(1.7e9);
    const { findings } = (await (await here.request('GET', '/doctor')).json()) as {
      findings: { id: string }[];
    };
    expect(findings.map(({ id }) => id)).toContain('rows-repaired');
  }, 60_000);
});

describe('the scrub in the background', () => {
  const RECORDS = 400;
  const identity = identityFromSeed(Buffer.alloc(32, 3));
  let node: LedgerNode;
  let merger: ReturnType<typeof threadedMerger>;
  beforeEach(async () => {
    merger = threadedMerger();
    node = await openLedgerNode(folder(), identity, merger);
    undo.push(
      () => merger.stop(),
      () => node.close(),
    );
    for (let i = 0; i < RECORDS; i++)
      await node.catalogue.putListing(`l${i}`, {
        type: 'offer',
        title: `listing ${i}`,
        commodity: 'maize',
        geoLat_: '1.5',
        geoLong_: '36.5',
      });
  });
  function scrub(
    pause: NonNullable<ScrubParts['pause']>,
    now: () => number = Date.now,
    more: Partial<ScrubParts> = {},
  ): Scrub {
    const made = new Scrub({
      db: node.db,
      store: node.store,
      merges: merger,
      alone: (work) => node.ledger.alone(work),
      onRepaired: () => undefined,
      onWrong: (row) => expect(row).toBeUndefined(),
      log: () => undefined,
      env: { ...systemEnv, now },
      firstMs: 1,
      pause,
      ...more,
    });
    undo.push(() => made.stop());
    return made;
  }

  it('takes less than 5 % of a core by CPU time, and a store of 200,000 records within the day', async () => {
    // Compiled as in a daemon that has run for a while.
    const { startedAt } = await scrub(async () => undefined).run();
    let paused = 0;
    // Its pauses are counted and not waited for; so nothing else runs in this process meanwhile.
    const made = scrub(
      async (ms) => void (paused += ms),
      () => Date.now() + 2 * SCRUB_LIMITS.everyMs,
    );
    const before = process.cpuUsage();
    made.start();
    const last = await waitFor(
      'the pass',
      () => {
        const { last: ended } = made.status();
        return ended !== undefined && ended.startedAt > startedAt && ended;
      },
      60_000,
    );
    const { user, system } = process.cpuUsage(before);
    const cpu = (user + system) / 1000;
    const took = cpu + paused;
    console.log(
      `scrub of ${RECORDS} records, ${last.rows} rows: ${cpu.toFixed(0)} ms of CPU in ${(took / 1000).toFixed(1)} s, ${((100 * cpu) / took).toFixed(1)} % of a core`,
    );
    expect(cpu / took).toBeLessThan(0.05);
    expect((took / RECORDS) * 200_000).toBeLessThan(SCRUB_LIMITS.everyMs);
  }, 90_000);

  it('derives no record of more ops than it has memory for, and says how many there are', async () => {
    for (let i = 0; i < 20; i++)
      await node.catalogue.putListing('l1', { type: 'offer', title: `changed ${i}` });
    const told: [string, { record: string }][] = [];
    const made = scrub(async () => undefined, Date.now, {
      opsOfRecord: 20,
      log: (message, fields) => told.push([message, { record: String(fields['record']) }]),
    });
    const { unchecked, wrong } = await made.run();
    expect({ unchecked, wrong }).toEqual({ unchecked: 1, wrong: {} });
    const [[message, { record }] = ['', { record: '' }]] = told;
    expect([message, record.split('/')[2]]).toEqual([
      'a record has too many changes to be derived anew',
      'l1',
    ]);
    const all = await scrub(async () => undefined, Date.now, { opsOfRecord: 21 }).run();
    expect(all.unchecked).toBe(0);
  });

  it('finds numbers that changes cannot have been applied under, whichever they are, and takes them all away', async () => {
    const few = await openLedgerNode(folder(), identity, merger);
    undo.push(() => few.close());
    const own = {
      db: few.db,
      store: few.store,
      alone: (work: () => Promise<void>) => few.ledger.alone(work),
    };
    const pass = async (onWrong: ScrubParts['onWrong'] = () => undefined): Promise<object> =>
      (await scrub(async () => undefined, Date.now, { ...own, onWrong }).run()).wrong;
    for (let i = 0; i < 7; i++)
      await few.catalogue.putListing('l1', { type: 'offer', title: `changed ${i}` });
    const key = recordKey('listings', identity.peerId, 'l1');
    const rows: [string, Uint8Array][] = [];
    for await (const row of few.db.level.iterator(range('recordOps', `${key}\0`))) rows.push(row);
    const numbers = rows.map(([row, value]) => numberIn(row, value) ?? 0);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers).toHaveLength(7);
    const plant = (at: number, number: number): Promise<void> => {
      const row = rows[at]?.[0] ?? '';
      return few.db.level.put(row, withChecksum(row, opNumberBytes(number)));
    };
    for (const [at, number] of [
      [6, numbers[5] ?? 0], // given twice
      [0, numbers[3] ?? 0], // an older change's row, as it was after another's
      [3, 1],
      [6, 2 ** 40], // never given
      [2, 2 ** 40],
    ] as const) {
      for (const [row, value] of rows) await few.db.level.put(row, value);
      expect(await pass()).toEqual({});
      await plant(at, number);
      const found: string[] = [];
      await pass(({ table, kind }) => void found.push(`${table} ${kind}`));
      expect(new Set(found), `${at} as ${number}`).toEqual(new Set(['recordOps stale']));
      const left = await Promise.all(rows.map(([row]) => few.db.level.get(row)));
      expect(left.map((value) => value?.length)).toEqual(rows.map(() => 0));
      expect(await pass()).toEqual({});
    }
  }, 60_000);

  it('takes the members of a channel from its creation, however long the channel’s own history is', async () => {
    const writers = [identity.peerId];
    const made = draftPrivate(
      { author: identity.peerId },
      'conversations',
      { writers, participants: writers },
      new Uint8Array(16),
    );
    await node.ledger.write({ keys: [made.key], draft: () => [made] });
    for (let i = 0; i < 30; i++)
      await node.ledger.write({
        keys: [made.key],
        draft: (writer, read) => [draftEdit(writer, made.key, made.key, read(made.key), { title: `t${i}` })],
      });
    const said = { from: `u@${identity.peerId}`, type: 'text', content: 'still here', sentAt: 1 };
    const { records } = await node.ledger.write({
      keys: [],
      draft: (writer) => [draftFact(writer, 'messages', said, made.key)],
    });
    const { unchecked, wrong } = await scrub(async () => undefined, Date.now, { opsOfRecord: 20 }).run();
    expect({ unchecked, wrong }).toEqual({ unchecked: 1, wrong: {} });
    const [message] = await node.store.records([records[0]?.key ?? made.key]);
    expect(message?.view['content']).toBe('still here');
  });

  it('stops in the middle of a check that has its own rows, and does not look at all of them first', async () => {
    let looked = 0;
    const begun = Promise.withResolvers<void>();
    const made = scrub(async () => undefined, Date.now, {
      async checkAttachments(_, pace) {
        for (; looked < 10_000; looked++) {
          if (looked === 10) begun.resolve();
          await pace();
        }
      },
    });
    const pass = made.run().then(() => 'to its end', errorCode);
    await begun.promise;
    await made.stop();
    expect(await pass).toBe('aborted');
    expect(looked).toBeLessThan(100);
  });

  it('goes on after a restart where it stood', async () => {
    let chunks = 0;
    const stop = new AbortController();
    const first: Scrub = scrub(async (_, signal) => {
      if (++chunks < SCRUB_LIMITS.noteEvery + 3) return;
      stop.abort();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    });
    first.start();
    await waitFor('it to be on its way', () => stop.signal.aborted, 60_000);
    const stood = first.status();
    await first.stop();
    expect(stood.current?.rows).toBeGreaterThan(SCRUB_LIMITS.chunk * 3);

    const rows: number[] = [];
    const second: Scrub = scrub(async () => void rows.push(second.status().current?.rows ?? 0));
    second.start();
    const last = await waitFor('the pass', () => second.status().last, 60_000);
    // Not from the beginning: at most what was not noted yet is looked at again.
    expect(rows[0]).toBeGreaterThan(SCRUB_LIMITS.chunk * 3);
    expect(last.startedAt).toBe(stood.current?.startedAt);
    const whole = await scrub(async () => undefined).run();
    expect(last.rows - whole.rows).toBeLessThanOrEqual(SCRUB_LIMITS.chunk * SCRUB_LIMITS.noteEvery);
    expect(last.rows).toBeGreaterThanOrEqual(whole.rows);
  }, 90_000);
});
