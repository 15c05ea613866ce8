import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CellPublisher, createCellPublisher } from '../../../daemon/market/cell-publisher.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { cellPrice, closesAt, type Quote } from '../../../protocols/market/price-cells.ts';
import { priceKindOf } from '../../../protocols/market/price-kind.ts';
import { draftFact, draftTombstone } from '../../../protocols/ledger/drafts.ts';
import { isLive, type RecordState } from '../../../protocols/open-dialog/record.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { Reader } from '../../../storage/reader.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { tempDir } from '../../support/temp-dir.ts';

const WEEK = '2026-11-16';
const DAY = 86_400_000;
const identity = identityFromSeed(new Uint8Array(32).fill(3));
let dir: ReturnType<typeof tempDir>;
let node: LedgerNode;
let now = 0;
let trades: Quote[] = [];
let asks: Quote[] = [];
let lost: number | undefined;
let rejoining = false;

beforeEach(async () => {
  dir = tempDir('cells');
  node = await openLedgerNode(dir.path, identity, createInlineMerges(systemEnv));
  now = closesAt(WEEK);
  trades = some(6);
  asks = [];
  lost = undefined;
  rejoining = false;
});
afterEach(async () => {
  await node.close();
  dir.remove();
});

const some = (count: number, over: Partial<Quote> = {}): Quote[] =>
  Array.from({ length: count }, (_, i) => ({
    commodity: 'Maize',
    unit: 'kg',
    currency: 'KES',
    price: 41.37 + i,
    by: `pair ${i}`,
    users: [`amina-${i}`, `baraka-${i}`],
    at: Date.parse(WEEK) + DAY,
    ...over,
  }));

/** A publisher as at a start of the node. */
function publisher(leastTrades = 5): CellPublisher {
  const each = (quotes: () => Quote[]) =>
    async function* (since: number) {
      yield* quotes().filter(({ at }) => at >= since);
    };
  return createCellPublisher({
    self: node.self,
    region: 'Nyanza',
    leastTrades,
    ledger: node.ledger,
    reader: new Reader(node.db),
    quotes: { traded: each(() => trades), asking: each(() => asks) },
    awaitFence: async () => {
      if (rejoining) throw new AgrinetError('rejoining', 'some have not answered');
    },
    lostAt: async () => lost,
    now: () => now,
    env: systemEnv,
  });
}

async function held(collection: string): Promise<RecordState[]> {
  const states: RecordState[] = [];
  for await (const state of new Reader(node.db).all(collection, () => expect.fail('unread')))
    if (isLive(state)) states.push(state);
  return states;
}
const prices = async (): Promise<RecordState['view'][]> =>
  (await held('prices')).map(({ view }) => ({ ...view }));

describe('the publisher of price cells', () => {
  it('publishes a week once it is closed, as prices that name their source and nobody', async () => {
    asks = some(5, { price: 60, commodity: 'Beans' });
    now--;
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', week: '2026-11-09', cells: 0 });
    now++;
    expect(await publisher().look()).toEqual({ outcome: 'closed', week: WEEK, cells: 2 });
    const published = await prices();
    expect(published).toHaveLength(2);
    expect(published).toEqual(
      expect.arrayContaining([
        {
          date: WEEK,
          admin1: 'Nyanza',
          market: node.self,
          commodity: 'maize',
          unit: 'kg',
          currency: 'KES',
          price: 43,
          count: 5,
          priceType: 'Traded',
          source: 'agrinet-trades',
        },
        expect.objectContaining({
          commodity: 'beans',
          price: 60,
          priceType: 'Asking',
          source: 'agrinet-asking',
        }),
      ]),
    );
    expect(published.map((price) => priceKindOf(price, node.self)).sort()).toEqual(['asking', 'traded']);
    expect(JSON.stringify([...(await node.views())])).not.toMatch(/amina|baraka|pair/);
  });

  it('publishes nothing more of that week, whatever comes late, whoever asks at once, over a restart', async () => {
    const one = publisher();
    const looks = await Promise.all([one.look(), one.look(), publisher().look(), publisher().look()]);
    expect(looks.filter(({ outcome }) => outcome === 'closed')).toHaveLength(1);
    const before = await prices();
    trades = [...some(9, { price: 500 }), ...some(9, { commodity: 'Beans' })];
    expect(await publisher().look()).toMatchObject({ outcome: 'known' });
    await node.close();
    node = await openLedgerNode(dir.path, identity, createInlineMerges(systemEnv));
    expect(await publisher().look()).toMatchObject({ outcome: 'known' });
    expect(await prices()).toEqual(before);
  });

  it('leaves a week for good in which there were too few', async () => {
    trades = some(4);
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', cells: 0 });
    trades = some(9);
    now += 2 * DAY;
    expect(await publisher().look()).toMatchObject({ outcome: 'known' });
    expect(await prices()).toEqual([]);
  });

  it('looks at the newest closed week alone', async () => {
    now += 7 * DAY;
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', week: '2026-11-23', cells: 0 });
    expect(await prices()).toEqual([]);
  });

  it('waits where own entries may be missing, and leaves out what was closed before they were lost', async () => {
    rejoining = true;
    await expect(publisher().look()).rejects.toMatchObject({ code: 'rejoining' });
    expect(await held('price-weeks')).toEqual([]);
    rejoining = false;
    lost = now;
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', cells: 0 });
    lost = undefined;
    expect(await publisher().look()).toMatchObject({ outcome: 'known' });
    expect(await prices()).toEqual([]);
  });

  it('goes on after a loss with the weeks that close after it', async () => {
    lost = now - 1;
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', cells: 1 });
  });

  it('publishes no more where the closing has been withdrawn', async () => {
    await publisher().look();
    const [closing] = await held('price-weeks');
    if (closing === undefined) return expect.fail('not closed');
    await node.ledger.write({ keys: [], draft: () => [draftTombstone(closing.key, 'public')] });
    trades = some(9);
    expect(await publisher().look()).toMatchObject({ outcome: 'known' });
  });

  it('does nothing when it is off, and closes no week', async () => {
    expect(await publisher(0).look()).toMatchObject({ outcome: 'off' });
    expect(await held('price-weeks')).toEqual([]);
  });

  it('publishes as many cells as one entry holds', async () => {
    trades = Array.from({ length: 300 }, (_, i) => some(5, { commodity: `goods ${i}` })).flat();
    asks = trades;
    expect(await publisher().look()).toMatchObject({ outcome: 'closed', cells: 500 });
    expect(await prices()).toHaveLength(500);
  });
});

it('is asked for fewer than five trades by no setting', () => {
  for (const given of ['1', '4', '-5', '1001', 'off'])
    expect(() => loadSettings({ PRICE_SIGNAL_MIN_TRADES: given }), given).toThrow(/PRICE_SIGNAL_MIN_TRADES/);
  for (const given of ['0', '5', '1000'])
    expect(loadSettings({ PRICE_SIGNAL_MIN_TRADES: given }).priceSignalMinTrades).toBe(Number(given));
});

describe('a price that claims to be of a cell', () => {
  const good = (): Record<string, string | number> => ({
    ...(cellPrice(
      'traded',
      { commodity: 'maize', unit: '90 kg', currency: 'KES', median: 4200, count: 5 },
      { node: node.self, region: 'Nyanza', monday: WEEK },
    ) as Record<string, string | number>),
  });

  it('is one only as the rule has it', () => {
    expect(priceKindOf(good(), node.self)).toBe('traded');
    const wrong: Record<string, Record<string, unknown>> = {
      'another market': { market: 'Kisumu' },
      'no Monday': { date: '2026-11-17' },
      'no day': { date: '2026-02-30' },
      'three digits': { price: 4210 },
      nothing: { price: 0 },
      'a count of no band': { count: 7 },
      'too small a count': { count: 2 },
      'no count': { count: undefined },
      'another price type': { priceType: 'Retail' },
      'asking of traded': { source: 'agrinet-asking' },
      'a name spelled otherwise': { commodity: 'Maize' },
      'a currency spelled otherwise': { currency: 'kes' },
      'a correction': { supersedes: 'x' },
      'a place beside it': { latitude: 1 },
    };
    for (const [name, over] of Object.entries(wrong)) {
      const fields = Object.fromEntries(
        Object.entries({ ...good(), ...over }).filter(([, value]) => value !== undefined),
      ) as Record<string, string | number>;
      expect(priceKindOf(fields, node.self), name).toBeUndefined();
    }
    expect(priceKindOf(good(), 'another node')).toBeUndefined();
    expect(priceKindOf({ ...good(), source: 'WFP' }, node.self)).toBe('observed');
  });

  it('is taken from no client', async () => {
    for (const source of ['agrinet-trades', ' Agrinet-Asking '])
      await expect(node.catalogue.addPrice({ ...good(), source })).rejects.toMatchObject({
        code: 'fields-invalid',
        message: expect.stringContaining('by itself') as string,
      });
    expect(await prices()).toEqual([]);
  });

  it('is kept by its schema', () => {
    const writer = { author: node.self, epoch: '' };
    expect(draftFact(writer, 'prices', good()).ops).toHaveLength(1);
    expect(() => draftFact(writer, 'prices', { ...good(), count: 0 })).toThrow(/count/);
    expect(draftFact(writer, 'price-weeks', { week: WEEK }).key).toBe(
      draftFact({ author: node.self, epoch: 'ff'.repeat(8) }, 'price-weeks', { week: WEEK }).key,
    );
  });
});
