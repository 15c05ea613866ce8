import { systemEnv } from '../../../daemon/system-env.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTrendPublisher, type TrendPublisher } from '../../../daemon/market/trend-publisher.ts';
import { PriceThread } from '../../../daemon/market/price-thread.ts';
import { startPriceWorker } from '../../../daemon/market/start-price-worker.ts';
import { createCatalogue } from '../../../protocols/market/catalogue.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { packedRows } from '../../../storage/packed-rows.ts';
import { Reader } from '../../../storage/reader.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const HOUR = 3_600_000;
const dir = tempDir('publisher');
let node: TestNode;
let now = Date.UTC(2026, 0, 20);
let transactions = 0;
const threads: PriceThread[] = [];
beforeAll(async () => {
  node = await startNode(dir.path, { TREND_SNAPSHOT_HOURS: '0' });
});
afterAll(async () => {
  for (const thread of threads) await thread.stop();
  await node.stop();
  dir.remove();
});

/** Over the real feed of a node: each new one is a new life of it. */
function publisher(hours = 24): TrendPublisher {
  const reader = new Reader(node.node.db);
  const thread = new PriceThread({
    start: startPriceWorker,
    env: systemEnv,
    rows: () => packedRows(node.node.db, 'prices'),
    listings: () => packedRows(node.node.db, 'listings'),
    onLost: (error) => expect.fail(error.message),
    state: () => String(reader.version()),
    onDamaged: () => expect.fail('a damaged row'),
  });
  threads.push(thread);
  return createTrendPublisher({
    self: node.peerId,
    region: 'Coast',
    hours,
    ledger: node.node.ledger,
    reader,
    snapshot: async (from) => (await thread.ask({ ask: 'snapshot', from })).answer,
    transactions: async function* () {
      for (let i = 0; i < transactions; i++)
        yield {
          contract: recordKey('contracts', node.node.identity.peerId, `c${i}`),
          supplier: '',
          region: 'Coast',
          acceptedAt: 0,
          open: true,
          ours: i % 2 === 0,
        };
    },
    now: () => now,
  });
}
const addPrice = (price: number): Promise<unknown> =>
  createCatalogue(node.node.ledger, node.node.identity.peerId, systemEnv).addPrice({
    date: '2026-01-15',
    market: 'Mombasa',
    commodity: 'Salt',
    unit: 'KG',
    currency: 'KES',
    priceType: 'Retail',
    price,
  });

describe('the publisher of trend snapshots', () => {
  it('publishes nothing without prices, then once for the same inputs, whoever asks at once', async () => {
    expect(await publisher().publishIfDue()).toMatchObject({ published: false, reason: 'no-prices' });
    await addPrice(20);
    const one = publisher();
    const all = await Promise.all([one.publish(), one.publish(), one.publishIfDue()]);
    expect(all.map(({ published }) => published)).toEqual([true, false, false]);
    expect(all.map(({ reason }) => reason)).toEqual([undefined, 'unchanged', 'not-due']);
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  });

  it('knows over a restart when it last did, and waits its hours', async () => {
    await addPrice(21);
    now += 23 * HOUR;
    expect(await publisher().publishIfDue()).toMatchObject({ published: false, reason: 'not-due' });
    now += HOUR;
    expect(await publisher(0).publishIfDue()).toMatchObject({ published: false, reason: 'not-due' });
    expect(await publisher().publishIfDue()).toMatchObject({ published: true });
    now += 25 * HOUR;
    expect(await publisher().publishIfDue()).toMatchObject({ published: false, reason: 'unchanged' });
  });

  it('counts only transactions that this node supplies', async () => {
    transactions = 9;
    expect(await publisher().publish()).toMatchObject({ published: true });
    const { id } = await publisher().publish();
    const { body } = (await (await node.request('GET', `/trends/snapshots/${id}`)).json()) as {
      body: string;
    };
    expect(JSON.parse(body)).toMatchObject({ transactions: [{ region: 'Coast', count: 5 }] });
  });
});
