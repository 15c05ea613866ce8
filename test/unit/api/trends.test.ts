import { createReadStream, readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createTrendFigures, insights, topRated, type TrendFigures } from '../../../api/trend-figures.ts';
import { ListingCounter } from '../../../daemon/market/listing-counter.ts';
import { windowOf } from '../../../api/trend-reports.ts';
import type { Transaction } from '../../../api/ports/trends.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { identityFromSeed, parsePeerId } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { readWfp } from '../../../protocols/market/wfp.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { deal as complete } from '../../support/terms.ts';

const FILE = 'test/data/wfp-kenya-trimmed.csv';
const dir = tempDir('trends');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path, { REGION: 'Coast' });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** As anybody gets it, without a key. */
const get = async <T>(path: string): Promise<T> => {
  const response = await node.app.request(path);
  expect(response.status, path).toBe(200);
  return (await response.json()) as T;
};
interface Signal {
  readonly unit: string;
  readonly priceType: string;
  readonly changePct: number;
  readonly inputs: string;
}
interface Trends {
  readonly summary: string;
  readonly topSignals: readonly Signal[];
  readonly prices: number;
  readonly inputs: string;
}

describe('on an empty node', () => {
  it('GET /trends answers 200, has no signals and says so', async () => {
    expect(await get('/trends?region=global')).toEqual({
      summary: 'No price movements can be told for all regions: no prices are held here.',
      topSignals: [],
      generatedBy: 'aiTrendHelper',
      region: 'global',
      asOf: null,
      prices: 0,
      leftOut: 0,
      inputs: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    });
  });

  it('the old routes answer empty lists, and nothing is published', async () => {
    for (const path of ['top-rated', 'market-volume', 'listing-trends', 'ping-response'])
      expect(await get(`/trends/${path}`)).toEqual([]);
    expect(await get('/trends/ai/insight')).toEqual({
      insights: ['Low market activity: only 0 listings in all regions.'],
    });
    expect(await get('/trends/snapshots')).toEqual({ snapshots: [] });
    const published = await node.request('POST', '/trends/snapshots');
    expect(await published.json()).toEqual({ trendId: null, published: false, reason: 'no-prices' });
  });
});

describe('with the Kenya file', () => {
  beforeAll(async () => {
    const lines: string[] = [];
    for await (const row of readWfp(createReadStream(FILE), systemEnv.offload))
      if ('price' in row) lines.push(JSON.stringify(row.price));
    for (let from = 0; from < lines.length; from += 500) {
      const response = await node.app.request('/prices', {
        method: 'POST',
        headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/x-ndjson' },
        body: lines.slice(from, from + 500).join('\n'),
      });
      expect(response.status).toBe(201);
    }
  });

  // Newest month against the one before that the market has; the numbers come from the file by sorting.
  it.each([
    ['Maize (white)', 'Hola (Tana River)', 'KG', 'Retail'],
    ['Potatoes (Irish)', 'Eldoret town (Uasin Gishu)', '50 KG', 'Wholesale'],
    ['Maize (white)', 'Mombasa', '90 KG', 'Wholesale'],
    ['Sorghum', 'Kisumu', '90 KG', 'Wholesale'],
    ['Beans', 'Mombasa', 'KG', 'Wholesale'],
  ])('%s in %s per %s is as in the file', async (commodity, market, unit, type) => {
    const rows = parse<Record<string, string>>(readFileSync(FILE, 'utf8'), { columns: true })
      .filter((r) => r['commodity'] === commodity && r['market'] === market)
      .filter((r) => r['unit'] === unit && r['pricetype'] === type)
      .map((r) => {
        const [month = '', , year = ''] = (r['date'] ?? '').split('/');
        return { month: Number(year) * 12 + Number(month) - 1, price: Number(r['price']) };
      })
      .sort((a, b) => b.month - a.month);
    const newest = rows.filter(({ month }) => month === rows[0]?.month);
    const [first, ...others] = rows.slice(newest.length);
    const before = [first, ...others].filter((row) => row?.month === first?.month);
    expect([newest.length, before.length]).toEqual([1, 1]);
    const back = (newest[0]?.month ?? 0) - (first?.month ?? 0);
    const query = new URLSearchParams({ region: market, commodity, window: String(back) });
    const { topSignals } = await get<Trends>(`/trends?${query}`);
    const found = topSignals.find((signal) => signal.unit === unit && signal.priceType === type);
    expect(found).toMatchObject({
      cadence: 'month',
      from: { median: first?.price },
      to: { median: newest[0]?.price },
      currency: 'KES',
      sampleSize: 1,
    });
    expect(found?.changePct).toBeCloseTo(((newest[0]?.price ?? 0) / (first?.price ?? 1) - 1) * 100, 1);
    const inMonths = new URLSearchParams({ region: market, commodity, window: `${back}m` });
    expect(await get(`/trends?${inMonths}`)).toEqual(await get(`/trends?${query}`));
  });

  it('takes windows in weeks, months and years, and refuses others', async () => {
    expect(windowOf('2')).toEqual({ back: 2, per: undefined });
    expect(windowOf('2w')).toEqual({ back: 2, per: 'week' });
    expect(windowOf('3M')).toEqual({ back: 3, per: 'month' });
    expect(windowOf('1y')).toEqual({ back: 12, per: 'month' });
    for (const window of ['', '0', '25', '25m', '105w', '3y', 'm', '1d', '-1', '1.5', '1mm'])
      expect(() => windowOf(window), window).toThrow(/window: must be 1 to 24 periods/);
    expect((await node.app.request('/trends?window=abc')).status).toBe(400);
    // Nothing in the file is weekly: of weeks it says nothing.
    expect((await get<Trends>('/trends?window=1w')).topSignals).toEqual([]);
    expect((await get<Trends>('/trends?window=1m')).topSignals.length).toBeGreaterThan(0);
  });

  it('publishes a snapshot once for the same inputs; anybody reads it, this node verifies it', async () => {
    const publish = async () =>
      (await (await node.request('POST', '/trends/snapshots')).json()) as {
        trendId: string;
        published: boolean;
      };
    const first = await publish();
    expect(first.published).toBe(true);
    expect(await publish()).toEqual({ trendId: first.trendId, published: false, reason: 'unchanged' });
    const { snapshots } = await get<{ snapshots: { trendId: string }[] }>('/trends/snapshots');
    expect(snapshots).toEqual([
      expect.objectContaining({
        trendId: first.trendId,
        owner: node.peerId,
        region: 'Coast',
        asOf: '2025-03-15',
      }),
    ]);
    const { body } = await get<{ body: string }>(`/trends/snapshots/${first.trendId}`);
    const { topSignals } = await get<Trends>('/trends');
    const published = JSON.parse(body) as { global: { signals: Signal[] } };
    expect(published.global.signals.slice(0, topSignals.length)).toEqual(topSignals);
    const verify = `/trends/snapshots/${first.trendId}/verify`;
    expect((await node.app.request(verify)).status).toBe(403);
    expect(await (await node.request('GET', verify)).json()).toMatchObject({
      verdict: 'verified',
      differs: [],
      owners: [],
      lacking: 0,
      beyond: 0,
    });
    expect((await node.request('GET', '/trends/snapshots/none/verify')).status).toBe(404);
    expect((await node.app.request('/trends/snapshots', { method: 'POST' })).status).toBe(403);
    const shown = await get<{ trends: { trendId: string; body: string }[] }>('/federation/export');
    expect(shown.trends).toEqual([expect.objectContaining({ trendId: first.trendId, body })]);

    const { prices } = await get<Trends>('/trends');
    await node.request('POST', '/prices', {
      date: '2025-03-15',
      market: 'Mombasa',
      commodity: 'Salt',
      unit: 'KG',
      currency: 'KES',
      priceType: 'Retail',
      price: 20,
    });
    expect((await get<Trends>('/trends')).prices).toBe(prices + 1);
    expect(await (await node.request('GET', verify)).json()).toMatchObject({
      verdict: 'verified',
      beyond: 1,
    });
    expect((await publish()).published).toBe(true);
    const page = await get<{ snapshots: unknown[]; cursor: string }>('/trends/snapshots?limit=1');
    const next = await get<{ snapshots: { trendId: string }[] }>(
      `/trends/snapshots?limit=1&cursor=${page.cursor}`,
    );
    expect(next.snapshots.map(({ trendId }) => trendId)).toEqual([first.trendId]);
    const other = identityFromSeed(new Uint8Array(32).fill(9)).peerId;
    expect((await get<{ snapshots: [] }>(`/trends/snapshots?owner=${other}`)).snapshots).toEqual([]);
  });
});

describe('the old routes', () => {
  it('count listings by location and by day', async () => {
    for (const location of ['Kisumu', 'Kisumu', 'Nakuru'])
      await node.request('POST', '/listings', { type: 'offer', title: 'Maize', location, region: 'Nyanza' });
    const day = new Date().toISOString().slice(0, 10);
    await waitFor('the listings to be counted', async () => {
      const days = await get<{ date: string; count: number }[]>('/trends/listing-trends');
      return days.some(({ count }) => count === 3);
    });
    expect(await get('/trends/market-volume')).toEqual([
      { location: 'Kisumu', count: 2 },
      { location: 'Nakuru', count: 1 },
    ]);
    expect(await get('/trends/listing-trends')).toEqual([{ date: day, count: 3 }]);
    expect(await get('/trends/ai/insight?region=nyanza')).toEqual({
      insights: ['Low market activity: only 3 listings in nyanza.'],
    });
  });
});

describe('with transactions', () => {
  const deal = async (n: number): Promise<string> => {
    const made = await node.request('POST', '/contracts', {
      ...complete(1),
      title: `Deal ${n}`,
      buyerId: 'bea',
      supplierId: 'sam',
      deliveryWindow: { end: '2026-01-31' },
    });
    expect(made.status).toBe(201);
    const { contractId } = (await made.json()) as { contractId: string };
    for (const [step, body] of [
      ['propose', { proposedBy: 'bea' }],
      ['accept', { acceptedBy: 'sam' }],
      ['pings', { from: 'sam', percentComplete: 10 }],
    ] as const) {
      const answer = await node.request('POST', `/contracts/${contractId}/${step}`, body);
      expect(answer.status, `${step}: ${await answer.text()}`).toBe(200);
    }
    return contractId;
  };
  /** Both settle it, and one says so in public. */
  const rate = async (contractId: string): Promise<void> => {
    for (const settledBy of ['bea', 'sam'])
      expect((await node.request('POST', `/contracts/${contractId}/settle`, { settledBy })).status).toBe(200);
    const rated = await node.request('POST', '/submitRating', { contractId, from: 'bea', score: 3 });
    expect(rated.status, await rated.text()).toBeLessThan(300);
  };
  const counts = async (): Promise<unknown> => {
    const { trendId } = (await (await node.request('POST', '/trends/snapshots')).json()) as {
      trendId: string;
    };
    const { body } = await get<{ body: string }>(`/trends/snapshots/${trendId}`);
    return (JSON.parse(body) as { transactions: unknown }).transactions;
  };
  const asOperator = async <T>(path: string): Promise<T> =>
    (await (await node.request('GET', path)).json()) as T;

  it('are told of to the operator only; in the snapshot are counted those that were rated in public, from five on', async () => {
    const deals: string[] = [];
    for (let n = 1; n <= 6; n++) deals.push(await deal(n));
    const seller = [{ sellerId: `sam@${node.peerId}`, avgDays: 0 }];
    await waitFor('the pings to be counted', async () => {
      const rows = await asOperator<unknown[]>('/trends/ping-response');
      const { insights: said } = await asOperator<{ insights: string[] }>('/trends/ai/insight');
      return rows.length === 1 && said.some((line) => line.startsWith('6 transactions are delayed'));
    });
    expect(await asOperator('/trends/ping-response')).toEqual(seller);
    expect(await get('/trends/ping-response')).toEqual([]);
    expect((await get<{ insights: string[] }>('/trends/ai/insight')).insights).toHaveLength(1);
    expect(await counts()).toEqual([]);
    for (const one of deals.slice(0, 5)) await rate(one);
    expect(await counts()).toEqual([{ region: 'Coast', count: 5 }]);
    expect(await get('/trends/ping-response')).toEqual([]);
  });
});

const self = parsePeerId('12D3KooWBzFPcNkXAd8vUiZLQUj4pUJgVuMaSTG7WvYc1Mh4YDRC');
const DAY = 86_400_000;

describe('figures', () => {
  const me = self ?? expect.fail('not a peer id');
  const contract = (id: string) => recordKey('contracts', me, id);
  const ping = (id: string, from: string, day: number): RecordState => ({
    key: recordKey('pings', me, `${id}-${from}-${day}`),
    channel: contract(id),
    heads: [],
    view: { from },
    fieldOps: {},
    conflicts: {},
    seqs: {},
    maxOp: 0,
    created: [day * DAY, 0],
    updated: [day * DAY, 0],
    tombstone: false,
    exists: true,
    pending: 0,
    ops: 1,
  });
  const sold = (id: string, supplier: string, more: Partial<Transaction> = {}): Transaction => ({
    contract: contract(id),
    supplier,
    region: 'Coast',
    acceptedAt: 10 * DAY,
    open: true,
    ours: true,
    ...more,
  });
  async function figuresOf(transactions: Transaction[], pings: RecordState[]): Promise<TrendFigures> {
    async function* all(collection: string): AsyncGenerator<RecordState> {
      if (collection === 'pings') yield* pings;
    }
    async function* held(): AsyncGenerator<Transaction> {
      yield* transactions;
    }
    const reader = { all, version: () => 1 };
    return createTrendFigures(
      {
        self: me,
        reader,
        trends: { transactions: held, listings: async () => new ListingCounter().counts() },
      },
      () => 100 * DAY,
    )();
  }

  it('ping response: days from acceptance to the first ping and between pings, by seller, the quickest first', async () => {
    const { sellers } = await figuresOf(
      [sold('a', 'slow'), sold('b', `slow@${me}`), sold('c', 'quick'), sold('d', 'silent')],
      [
        ping('a', 'slow', 14),
        ping('a', `slow@${me}`, 18),
        ping('b', 'slow', 12),
        ping('c', 'quick', 11),
        ping('c', 'buyer', 40),
        ping('c', 'quick', 9),
        ping('unknown', 'quick', 50),
      ],
    );
    expect(sellers).toEqual([
      { sellerId: `quick@${me}`, avgDays: 1, transactions: 1 },
      { sellerId: `slow@${me}`, avgDays: 3.33, transactions: 2 },
    ]);
  });

  it('delayed: open, and the day of delivery is over', async () => {
    const { delayed } = await figuresOf(
      [
        sold('a', 's', { dueAt: 99 * DAY }),
        sold('b', 's', { dueAt: 101 * DAY }),
        sold('c', 's', { dueAt: 99 * DAY, open: false }),
        sold('d', 's'),
      ],
      [],
    );
    expect(delayed).toBe(1);
  });

  it('insights: many or few listings, the best three, delays for the operator only', async () => {
    const none = await figuresOf([], []);
    const scores = ['a', 'b', 'c', 'd'].map((user, i) => ({
      subject: `${user}@${me}`,
      percent: 70 + 10 * i,
      counterparties: 2,
      region: i === 3 ? 'Coast' : 'Nyanza',
    }));
    expect(topRated(scores, 2, undefined).map(({ subject }) => subject)).toEqual([`d@${me}`, `c@${me}`]);
    expect(topRated(scores, 3, 'coast').map(({ subject }) => subject)).toEqual([`d@${me}`]);
    expect(insights({ ...none, listings: 101 }, topRated(scores, 3, 'global'), 'global', false)).toEqual([
      'High market activity: 101 listings in all regions.',
      `Top rated producers: d@${me} (100 % without breach), c@${me} (90 % without breach), b@${me} (80 % without breach).`,
    ]);
    const busy = { ...none, listings: 50, byRegion: new Map([['coast', 10]]) };
    expect(insights({ ...busy, delayed: 4 }, [], 'Coast', false)).toEqual([]);
    expect(insights({ ...busy, delayed: 4 }, [], 'Coast', true)).toEqual([
      '4 transactions are delayed: their day of delivery is over.',
    ]);
    expect(insights({ ...busy, delayed: 500 }, [], undefined, false)).toEqual([]);
  });
});
