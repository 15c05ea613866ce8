import { cp, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { mondayOf } from '../../protocols/market/price-kind.ts';
import type { Env } from '../../protocols/env.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { UnexpectedStatus, waitFor } from '../support/wait.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const WEEK = 7 * DAY;

/** The machine's time, set forward; what waits for the look at weeks waits for `look`. */
class Weeks {
  #passed = 0;
  #looks: (() => void)[] = [];
  readonly env: Env = {
    ...systemEnv,
    now: () => systemEnv.now() + this.#passed,
    monotonic: () => systemEnv.monotonic() + this.#passed,
    after: (ms, call, options) => {
      if (ms !== DAY && ms !== 10 * MINUTE) return systemEnv.after(ms, call, options);
      this.#looks.push(call);
      return { cancel: () => (this.#looks = this.#looks.filter((each) => each !== call)) };
    },
  };

  /** To so long after the beginning of a week, which is given by any time in it. */
  to(time: number, after: number): void {
    this.#passed += Date.parse(mondayOf(time)) + after - this.env.now();
  }

  look(): void {
    for (const call of this.#looks.splice(0)) call();
  }
}

interface Price {
  readonly commodity: string;
  readonly source?: string;
  readonly count?: number;
  readonly price: number;
  readonly date: string;
  readonly owner: string;
}
interface Trends {
  readonly summary: string;
  readonly topSignals: readonly Record<string, unknown>[];
}

async function ask<T = { readonly contractId: string }>(
  node: TestNode,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const answer = await node.request(method, path, body);
  const text = await answer.text();
  if (!answer.ok) throw new UnexpectedStatus(`${method} ${path}`, answer.status, text);
  return (text === '' ? {} : JSON.parse(text)) as T;
}

async function offer(seller: TestNode, supplier: string, price: number): Promise<string> {
  const { listingId } = await ask<{ listingId: string }>(seller, 'POST', '/listings', {
    type: 'offer',
    title: `Maize of ${supplier}`,
    commodity: 'Maize',
    quantity: 100,
    unit: 'Kg',
    price,
    currency: 'KES',
    userId: supplier,
  });
  return listingId;
}

/** A trade of two users of one node, settled by both. */
async function trade(node: TestNode, buyer: string, supplier: string, price: number): Promise<void> {
  const at = (user: string): string => `${user}@${node.peerId}`;
  const terms = { title: 'Maize', commodity: 'Maize', quantity: 3, unit: 'Kg', price, currency: 'KES' };
  const { contractId } = await ask(node, 'POST', '/contracts', {
    ...terms,
    buyerId: at(buyer),
    supplierId: at(supplier),
    propose: false,
  });
  const path = `/contracts/${contractId}`;
  await ask(node, 'POST', `${path}/propose`, { proposedBy: at(buyer) });
  await ask(node, 'POST', `${path}/accept`, { acceptedBy: at(supplier) });
  for (const user of [supplier, buyer]) await ask(node, 'POST', `${path}/settle`, { settledBy: at(user) });
}

const cells = async (node: TestNode, owner: string): Promise<Price[]> =>
  (await ask<{ prices: Price[] }>(node, 'GET', '/prices?limit=100')).prices.filter(
    (price) => price.owner === owner && price.source?.startsWith('agrinet-') === true,
  );

describe('prices from trade, of two nodes, on a third', () => {
  const weeks = new Weeks();
  const dirs = [tempDir('signals-a'), tempDir('signals-b'), tempDir('signals-c')] as const;
  let a: TestNode;
  let b: TestNode;
  let c: TestNode;
  let first = 0;
  const env = { REGION: 'Nyanza', MYCELIUM_NETWORK: 'price-signals', ALLOW_PRIVATE_PEERS: 'on' };
  const start = (dir: string, over = {}): Promise<TestNode> =>
    startNode(dir, { ...env, ...over }, undefined, { env: weeks.env });
  const arrive = (owner: string, count: number): Promise<Price[]> =>
    waitFor(
      'the cells on the third node',
      async () => {
        const held = await cells(c, owner);
        return held.length === count ? held : undefined;
      },
      30_000,
    );

  beforeAll(async () => {
    first = systemEnv.now() + WEEK;
    weeks.to(first, DAY);
    [a, b, c] = [await start(dirs[0].path), await start(dirs[1].path), await start(dirs[2].path)];
    for (const [one, other] of [
      [a, b],
      [b, c],
      [a, c],
    ] as const)
      await befriend(one, other);
  }, 60_000);
  afterAll(async () => {
    for (const node of [a, b, c]) await node.stop();
    for (const dir of dirs) dir.remove();
  });

  it('come once their week is closed, and name nobody', async () => {
    for (const [node, price] of [
      [a, 40],
      [b, 50],
    ] as const) {
      for (let i = 0; i < 6; i++) await trade(node, `buyer-${i % 3}`, 'amina', price + i);
      for (let i = 0; i < 6; i++) await offer(node, `seller-${i % 3}`, 2 * price);
    }
    // Four trades are too few, and one of two pairs too.
    for (let i = 0; i < 4; i++) await trade(c, `buyer-${i}`, 'amina', 9);
    weeks.to(first, WEEK + 2 * DAY - MINUTE);
    weeks.look();
    expect(await cells(a, a.peerId)).toEqual([]);
    weeks.to(first, WEEK + 2 * DAY);
    weeks.look();
    const date = mondayOf(first);
    for (const [node, price] of [
      [a, 40],
      [b, 50],
    ] as const)
      expect(await arrive(node.peerId, 2)).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            commodity: 'maize',
            source: 'agrinet-trades',
            price: price + 1,
            count: 3,
            date,
            admin1: 'Nyanza',
            unit: 'kg',
          }),
          expect.objectContaining({
            commodity: 'maize',
            source: 'agrinet-asking',
            price: 2 * price,
            count: 3,
            date,
          }),
        ]),
      );
    expect(await cells(c, c.peerId)).toEqual([]);
    expect(JSON.stringify(await cells(c, a.peerId))).not.toMatch(/amina|buyer|seller/);
  }, 60_000);

  it('are published once, over a restart', async () => {
    const before = await cells(a, a.peerId);
    weeks.look();
    await a.stop();
    a = await startNode(dirs[0].path, env, a.node.identity, { env: weeks.env });
    weeks.look();
    expect(await cells(a, a.peerId)).toEqual(before);
  }, 60_000);

  it('show how they moved a week later, by themselves, of two markets and not of more', async () => {
    weeks.to(first, WEEK + 3 * DAY);
    for (const [node, price] of [
      [a, 48],
      [b, 60],
    ] as const)
      for (let i = 0; i < 6; i++) await trade(node, `buyer-${i % 3}`, 'amina', price + (i % 3));
    weeks.to(first, 2 * WEEK + 2 * DAY);
    weeks.look();
    await arrive(a.peerId, 3);
    await arrive(b.peerId, 3);
    // What was seen in markets is not mixed in.
    for (const [date, price] of [
      [mondayOf(first), 1],
      [mondayOf(first + WEEK), 3],
    ] as const)
      await ask(c, 'POST', '/prices', {
        date,
        market: 'Kisumu',
        admin1: 'Nyanza',
        commodity: 'maize',
        unit: 'kg',
        currency: 'KES',
        priceType: 'Traded',
        price,
      });
    const { summary, topSignals } = await ask<Trends>(c, 'GET', '/trends?commodity=Maize&region=nyanza');
    expect(topSignals.find(({ kind }) => kind === 'traded')).toMatchObject({
      cadence: 'week',
      priceType: 'Traded',
      sampleSize: 2,
      from: { period: mondayOf(first), median: 46 },
      to: { period: mondayOf(first + WEEK), median: 55 },
    });
    expect(topSignals.map(({ kind }) => kind)).not.toContain('asking');
    expect(topSignals.find(({ kind }) => kind === 'observed')).toMatchObject({
      changePct: 200,
      sampleSize: 1,
    });
    expect(summary).toMatch(/ in (one market|two markets) of nyanza\.$/);
  }, 60_000);
});

describe('a node that goes on from an older copy of its folder', () => {
  const weeks = new Weeks();
  const [dir, copy, other] = [tempDir('signals-old'), tempDir('signals-copy'), tempDir('signals-peer')];
  const env = { REGION: 'Nyanza', MYCELIUM_NETWORK: 'price-copies', ALLOW_PRIVATE_PEERS: 'on' };
  let node: TestNode;
  let peer: TestNode;
  const first = systemEnv.now() + WEEK;
  const start = async (): Promise<void> => {
    node = await startNode(dir.path, env, node.node.identity, { env: weeks.env });
  };

  beforeAll(async () => {
    weeks.to(first, DAY);
    node = await startNode(dir.path, env, undefined, { env: weeks.env });
    peer = await startNode(other.path, env, undefined, { env: weeks.env });
    await befriend(node, peer);
  }, 60_000);
  afterAll(async () => {
    for (const each of [node, peer]) await each.stop();
    for (const each of [dir, copy, other]) each.remove();
  });

  it('publishes no week again that it had published, of the trades that the copy has', async () => {
    for (let i = 0; i < 5; i++) await trade(node, `buyer-${i}`, 'amina', 40);
    await node.stop();
    await cp(dir.path, copy.path, { recursive: true });
    await start();
    for (let i = 0; i < 9; i++) await trade(node, `later-${i}`, 'amina', 80);
    weeks.to(first, WEEK + 2 * DAY);
    weeks.look();
    const told = (at: TestNode): Promise<Price[]> =>
      waitFor(
        'the price of the cell',
        async () => {
          const held = await cells(at, node.peerId);
          return held.length > 0 ? held : undefined;
        },
        30_000,
      );
    const published = await told(peer);
    expect(published).toMatchObject([{ price: 80, count: 10 }]);
    await node.stop();
    await rm(dir.path, { recursive: true });
    await cp(copy.path, dir.path, { recursive: true });
    await start();
    expect(await told(node)).toEqual(published);
    // This week's look is over when next week's price has come.
    weeks.look();
    for (let i = 0; i < 5; i++) await trade(node, `next-${i}`, 'amina', 50);
    weeks.to(first, 2 * WEEK + 2 * DAY);
    weeks.look();
    const both = await waitFor(
      'the price of the next week',
      async () => {
        const held = await cells(peer, node.peerId);
        return held.some(({ price }) => price === 50) ? held : undefined;
      },
      30_000,
    );
    expect(both.map(({ price }) => price).sort()).toEqual([50, 80]);
  }, 120_000);
});
