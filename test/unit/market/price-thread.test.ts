import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { PriceQuestions } from '../../../daemon/market/price-questions.ts';
import { PriceThread, type StartPriceWorker } from '../../../daemon/market/price-thread.ts';
import { startPriceWorker } from '../../../daemon/market/start-price-worker.ts';
import { storedReports } from '../../../daemon/market/stored-reports.ts';
import { MANY, TrendReports } from '../../../daemon/market/trend-reports.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey } from '../../../storage/keyspace.ts';
import { packedRows, unpackedRows } from '../../../storage/packed-rows.ts';
import { inlinePriceWorker } from '../../support/inline-prices.ts';
import { plainState, recordRows } from '../../support/record-rows.ts';
import { tempDir } from '../../support/temp-dir.ts';

const self = identityFromSeed(new Uint8Array(32).fill(4)).peerId;
let dir: ReturnType<typeof tempDir>;
let db: Database;
let state: string;
let damaged: RecordKey[];
let reads: number;
let lost: Error[];
const threads: PriceThread[] = [];
beforeEach(async () => {
  dir = tempDir('prices');
  db = await Database.open(dir.path, systemEnv);
  [state, damaged, reads, lost] = ['one', [], 0, []];
});
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.stop();
  await db.close();
  dir.remove();
});

/** Prices of one market, a day each from 2025-01-01 on. */
async function write(from: number, to: number): Promise<void> {
  const rows = Array.from({ length: to - from }, (_, n) => {
    const date = new Date(Date.UTC(2025, 0, 1 + from + n)).toISOString().slice(0, 10);
    const view = { date, price: 100 + from + n, market: 'A', commodity: 'Maize', unit: 'KG' };
    return recordRows(undefined, plainState(recordKey('prices', self, `p${from + n}`), view, from + n));
  });
  await db.batch(rows.flat(), false);
}

function threadOf(start: StartPriceWorker, env: typeof systemEnv = systemEnv): PriceThread {
  const thread = new PriceThread({
    start,
    env,
    listings: () => packedRows(db, 'listings'),
    onLost: (error) => lost.push(error),
    rows: () => {
      reads++;
      return packedRows(db, 'prices');
    },
    state: () => state,
    onDamaged: async (keys) => void damaged.push(...keys),
  });
  threads.push(thread);
  return thread;
}

const REPORT = { ask: 'report', query: { back: 1 } } as const;

describe('the thread of prices', () => {
  it('reads them once, again when one comes, and leaves out the oldest of too many and the damaged', async () => {
    await write(0, 25);
    const bad = recordKey('prices', self, 'p24');
    await db.level.put(fullKey('records', bad), new Uint8Array([1, 2, 3, 4, 5]));
    const thread = threadOf(({ answer }) => {
      const questions = new PriceQuestions({ prices: 10, snapshot: 10 });
      answer({ ready: true });
      const post: ReturnType<StartPriceWorker>['post'] = ({ id, question }) =>
        void systemEnv.after(0, () => answer({ id, answer: questions.answer(question) }));
      return { post, hold: () => undefined, end: () => Promise.resolve() };
    });
    const [first, second] = await Promise.all([thread.ask(REPORT), thread.ask(REPORT)]);
    expect(first.answer).toMatchObject({ prices: 10, asOf: '2025-01-24' });
    expect(first.held).toEqual({ state: 'one', prices: 10, leftOut: 15, newest: '2025-01-24' });
    expect(second).toEqual(first);
    expect(reads).toBe(1);
    expect(damaged).toEqual([bad]);
    await write(24, 26);
    state = 'two';
    expect((await thread.ask(REPORT)).held).toEqual({
      state: 'two',
      prices: 10,
      leftOut: 16,
      newest: '2025-01-26',
    });
    expect(reads).toBe(2);
  });

  it('is asked anew when the first one dies, and tells those who waited', async () => {
    await write(0, 1500);
    let started = 0;
    const dying: StartPriceWorker = (events) => {
      if (++started > 1) return startPriceWorker(events);
      events.answer({ ready: true });
      return {
        post: () => void systemEnv.after(0, () => events.gone(new Error('out of memory'))),
        hold: () => undefined,
        end: () => Promise.resolve(),
      };
    };
    const thread = threadOf(dying);
    await expect(thread.ask(REPORT)).rejects.toMatchObject({ code: 'busy' });
    expect(lost).toMatchObject([{ code: 'busy' }]);
    expect((await thread.ask(REPORT)).answer.prices).toBe(1500);
  });

  it('that never answers is ended at its deadline and told of, and the next question finds another', async () => {
    await write(0, 3);
    let started = 0;
    let ended = 0;
    const silent: StartPriceWorker = (events) => {
      if (++started > 1) return startPriceWorker(events);
      events.answer({ ready: true });
      return { post: () => undefined, hold: () => undefined, end: async () => void ended++ };
    };
    const waits: number[] = [];
    // Deadlines are over at once, except of the second thread.
    const after: typeof systemEnv.after = (ms, call, options) => {
      waits.push(ms);
      return systemEnv.after(started > 1 ? ms : 20, call, options);
    };
    const thread = threadOf(silent, { ...systemEnv, after });
    const [first, second] = await Promise.allSettled([thread.ask(REPORT), thread.listings()]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'busy' } });
    expect(second.status).toBe('fulfilled'); // it was asked of the next one
    expect([ended, lost.length]).toEqual([1, 1]);
    expect(waits).toContain(60_000);
    expect((await thread.ask(REPORT)).answer.prices).toBe(3);
  });

  it('counts listings by place, region and day, beside the prices, and leaves out what is damaged', async () => {
    await write(0, 3);
    const rows = Array.from({ length: 5 }, (_, n) => {
      const view = { title: 'Maize', region: 'Coast', ...(n < 2 ? { location: 'Mombasa' } : {}) };
      return recordRows(undefined, plainState(recordKey('listings', self, `l${n}`), view, n));
    });
    await db.batch(rows.flat(), false);
    const bad = recordKey('listings', self, 'l4');
    await db.level.put(fullKey('records', bad), new Uint8Array([1, 2, 3, 4, 5]));
    const thread = threadOf(startPriceWorker);
    await thread.ask(REPORT);
    const counts = await thread.listings();
    expect(counts).toMatchObject({
      listings: 4,
      byLocation: new Map([
        ['Mombasa', 2],
        ['Coast', 2],
      ]),
      byRegion: new Map([['coast', 4]]),
    });
    expect([...counts.byDay.values()].reduce((sum, each) => sum + each, 0)).toBe(4);
    expect(damaged).toEqual([bad]);
    expect(await thread.listings()).toEqual(counts);
    expect((await thread.ask(REPORT)).answer.prices).toBe(3);
    expect(reads).toBe(1); // the prices are still there
  });

  it('answers no more when the node stops', async () => {
    const thread = threadOf(startPriceWorker);
    await thread.ask(REPORT);
    const [asked] = await Promise.allSettled([thread.ask(REPORT), thread.stop()]);
    expect(asked).toMatchObject({ status: 'rejected', reason: { code: 'stopping' } });
    await expect(thread.ask(REPORT)).rejects.toMatchObject({ code: 'stopping' });
  });

  it('is given rows as they stand', async () => {
    await write(0, 2500);
    const taken: (readonly [string, Buffer])[] = [];
    for await (const bytes of packedRows(db, 'prices'))
      for (const [key, value] of unpackedRows(bytes)) taken.push([key, Buffer.from(value)]);
    const rows = await db.level.iterator({ gte: 'r!prices/', lt: 'r!prices0' }).all();
    expect(taken).toEqual(rows.map(([key, value]) => [key, Buffer.from(value)]));
    expect(taken.length).toBe(2500);
  });
});

describe('reports', () => {
  let count: number;
  let day: number;
  let ms: number;
  let failures: unknown[];
  beforeEach(() => {
    [count, day, ms, failures] = [MANY + 1, Date.UTC(2026, 0, 1), 0, []];
  });
  const reportsOf = (thread: PriceThread): TrendReports =>
    new TrendReports({
      thread,
      prices: () => ({ state, count }),
      now: () => day,
      monotonic: () => (ms += 100),
      onFailure: (error) => failures.push(error),
      stored: storedReports(db, (error) => failures.push(error)),
    });
  /** Claims many prices, without there being so many. */
  const many = (): PriceThread => {
    const thread = threadOf(inlinePriceWorker(systemEnv));
    const ask: PriceThread['ask'] = async (question) => {
      const { answer, held } = await PriceThread.prototype.ask.call(thread, question);
      return { answer, held: { ...held, prices: count } } as never;
    };
    return Object.assign(Object.create(thread) as PriceThread, { ask });
  };

  it('of few prices are made anew before the answer, and not again on another day', async () => {
    count = 10;
    await write(0, 10);
    const reports = reportsOf(threadOf(startPriceWorker));
    expect((await reports.report({ back: 1 })).prices).toBe(10);
    await write(10, 11);
    expect((await reports.report({ back: 1 })).prices).toBe(10);
    state = 'two';
    expect((await reports.report({ back: 1 })).prices).toBe(11);
    day += 9 * 86_400_000;
    expect((await reports.report({ back: 1 })).prices).toBe(11);
    expect(reads).toBe(2);
    // Of that day the last prices are not there yet.
    day = Date.UTC(2025, 0, 4);
    expect(await reports.report({ back: 1 })).toMatchObject({ prices: 5, asOf: '2025-01-05' });
  });

  it('of many prices are told at once, made anew beside the answer, and found again after a restart', async () => {
    await write(0, 10);
    const first = reportsOf(many());
    expect((await first.report({ back: 1 })).prices).toBe(10);
    await write(10, 12);
    state = 'two';
    const again = reportsOf(many());
    expect((await again.report({ back: 1 })).prices).toBe(10);
    await expect.poll(async () => (await again.report({ back: 1 })).prices).toBe(12);
    const before = reads;
    expect((await reportsOf(many()).report({ back: 1 })).prices).toBe(12);
    expect(reads).toBe(before);
    // A twentieth of the time: after one that took 100 ms at least, none for two seconds.
    state = 'three';
    await write(12, 13);
    expect((await again.report({ back: 1 })).prices).toBe(12);
    expect(reads).toBe(before);
    ms += 10_000_000;
    await expect.poll(async () => (await again.report({ back: 1 })).prices).toBe(13);
    expect(failures).toEqual([]);
  });

  it('of many prices that cannot be renewed are told as they were, with a word of the failure, and tried again later', async () => {
    await write(0, 10);
    const first = many();
    let asked = 0;
    let failing = false;
    const ask: PriceThread['ask'] = (question) => {
      asked++;
      return failing ? Promise.reject(new Error('out of memory')) : first.ask(question);
    };
    const reports = reportsOf(Object.assign(Object.create(first) as PriceThread, { ask }));
    expect((await reports.report({ back: 1 })).prices).toBe(10);
    [state, failing, ms] = ['two', true, 10_000_000];
    expect((await reports.report({ back: 1 })).prices).toBe(10);
    await expect.poll(() => failures.length).toBe(1);
    expect((await reports.report({ back: 1 })).prices).toBe(10);
    expect(asked).toBe(2); // not at once again
    [failing, ms] = [false, 20_000_000];
    await write(10, 11);
    await expect.poll(async () => (await reports.report({ back: 1 })).prices).toBe(11);
  });

  it('that cannot be read are made anew', async () => {
    await write(0, 10);
    await reportsOf(many()).report({ back: 1 });
    await db.level.put(fullKey('meta', 'trend reports'), new Uint8Array([1, 2, 3, 4, 5]));
    expect((await reportsOf(many()).report({ back: 1 })).prices).toBe(10);
    expect(failures).toMatchObject([{ code: 'value-damaged' }]);
  });
});
