import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SyncOutcome } from '../../api/ports/sync-target.ts';
import { LegacyTable } from '../../storage/legacy-table.ts';
import { type ExchangeNode, startExchangeNode } from '../support/exchange-node.ts';
import { type LegacyNode, startLegacyNode } from '../support/legacy-node.ts';

interface Page {
  readonly items: Record<string, unknown>[];
  readonly sources: string[];
  readonly cursor?: string;
}

describe('an old node', () => {
  let old: LegacyNode;
  let node: ExchangeNode;
  let id: `legacy:${string}`;

  beforeEach(async () => {
    old = await startLegacyNode(600);
    node = await startExchangeNode();
    id = `legacy:${old.origin}`;
    node.httpNodes.push({ id, origin: old.origin, status: 'active' });
  });
  afterEach(async () => {
    await node.stop();
    await old.stop();
  });

  /** All that is shown of it. */
  async function shown(collection: string): Promise<Map<string, Record<string, unknown>>> {
    const found = new Map<string, Record<string, unknown>>();
    let cursor = '';
    do {
      const query = `source=${encodeURIComponent(old.origin)}&limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const page = (await (await node.fetch(`/federation/legacy/${collection}?${query}`)).json()) as Page;
      for (const item of page.items) found.set(String(item['id']), item);
      cursor = page.cursor ?? '';
    } while (cursor !== '');
    return found;
  }
  const counts = ({ imported, unchanged, refused }: SyncOutcome) => ({ imported, unchanged, refused });

  it('is pulled, and again after one change: only what is newer comes in', async () => {
    expect(counts(await node.sync(id))).toEqual({ imported: 611, unchanged: 0, refused: 0 });
    expect((await shown('listings')).size).toBe(600);
    const held = new LegacyTable(node.ledgerNode.db);
    expect(await held.counts(id)).toEqual({ listings: 600, transactions: 1, users: 10 });
    expect((await shown('listings')).get('listing-7')).toMatchObject({
      title: 'White maize, lot 7',
      owner: id,
    });

    expect(counts(await node.sync(id)), 'an ETag says that nothing is new').toEqual({
      imported: 0,
      unchanged: 0,
      refused: 0,
    });
    const changed = old.tables.listings[7] ?? {};
    changed['price'] = 9999;
    changed['updatedAt'] = '2026-06-01T00:00:00.000Z';
    expect(counts(await node.sync(id))).toEqual({ imported: 1, unchanged: 610, refused: 0 });
    expect((await shown('listings')).get('listing-7')).toMatchObject({ price: 9999 });
    expect(await node.table.get(id)).toMatchObject({
      imported: 1,
      lastHash: expect.stringMatching(/^\w{64}$/),
    });
  });

  it('never gets personal fields in, nor anything of its own into feeds, export or digest', async () => {
    (old.tables.listings[0] ?? {})['contact'] = {
      name: 'Wanjiru',
      contactPhone: '+254711111111',
      eMail: 'w@farm.example',
    };
    const before = node.digest();
    await node.sync(id);
    expect((await shown('users')).get('user-3')).toEqual({
      id: 'user-3',
      role: 'producer',
      reputationScore: 2.3,
      owner: id,
      updatedAt: '2026-01-01T00:00:03.000Z',
    });
    expect((await shown('listings')).get('listing-0')?.['contact']).toEqual({ name: 'Wanjiru' });
    const held: string[] = [];
    for await (const value of node.ledgerNode.db.level.values())
      held.push(Buffer.from(value).toString('latin1'));
    expect(held.join()).not.toMatch(/farm\.example|2547|password/);
    expect(node.digest()).toBe(before);
    const exported = (await (await node.fetch('/federation/export')).json()) as { count: number };
    expect(exported.count).toBe(0);
    expect(await (await node.fetch('/federation/feeds')).json()).toMatchObject({ feeds: [] });
  });

  it('has older and malformed items refused one by one, with reasons', async () => {
    await node.sync(id);
    const { listings, transactions } = old.tables;
    Object.assign(listings[0] ?? {}, { title: 'Older', updatedAt: '2025-01-01T00:00:00.000Z' });
    Object.assign(listings[1] ?? {}, { price: 'cheap' });
    Object.assign(listings[2] ?? {}, { updatedAt: 'yesterday', createdAt: undefined });
    Object.assign(listings[3] ?? {}, { id: undefined });
    Object.assign(listings[4] ?? {}, { updatedAt: '2999-01-01T00:00:00.000Z' });
    Object.assign(listings[5] ?? {}, { notes: 'x'.repeat(300_000), updatedAt: '2026-06-01T00:00:00.000Z' });
    listings.push('not an object' as unknown as Record<string, unknown>);
    Object.assign(transactions[0] ?? {}, { rating: 7, createdAt: '2026-06-01T00:00:00.000Z' });
    const totals = await node.exchange.target.importLegacy(
      id,
      {
        bytes: 0,
        read: async function* read() {
          yield new TextEncoder().encode(JSON.stringify(old.tables));
        },
      },
      { force: false, signal: new AbortController().signal },
    );
    expect(totals).toMatchObject({ imported: 0, refusedCount: 8 });
    const reasons = new Map(
      totals.refused.map(({ collection, index, reason }) => [`${collection} ${index}`, reason]),
    );
    expect(reasons.get('listings 0')).toMatch(/not newer/);
    expect(reasons.get('listings 1')).toMatch(/price/);
    expect(reasons.get('listings 2')).toMatch(/neither updatedAt nor createdAt/);
    expect(reasons.get('listings 3')).toMatch(/id/);
    expect(reasons.get('listings 4')).toMatch(/ahead/);
    expect(reasons.get('listings 5')).toMatch(/larger than 256 KiB/);
    expect(reasons.get('listings 600')).toMatch(/not an object/);
    expect(reasons.get('transactions 0')).toMatch(/rating/);
    expect((await shown('listings')).get('listing-0')).toMatchObject({ title: 'White maize, lot 0' });
  });

  it('with force is built anew, in one go, with every check', async () => {
    await node.sync(id);
    old.tables.listings.splice(100);
    Object.assign(old.tables.listings[0] ?? {}, {
      title: 'Rolled back',
      updatedAt: '2025-01-01T00:00:00.000Z',
    });
    Object.assign(old.tables.listings[1] ?? {}, { price: 'cheap' });
    expect(counts(await node.sync(id, { force: true }))).toEqual({ imported: 110, unchanged: 0, refused: 1 });
    const listings = await shown('listings');
    expect(listings.size).toBe(99);
    expect((await new LegacyTable(node.ledgerNode.db).counts(id))['listings']).toBe(99);
    expect(listings.get('listing-0')).toMatchObject({ title: 'Rolled back' });

    for (const broken of ['{"listings":[{"id":"a","title":"b","updatedAt":"2026-01-01"}', 'no JSON', '[]']) {
      old.broken = broken;
      await expect(node.sync(id, { force: true })).rejects.toThrow(/the export/);
      expect((await shown('listings')).size).toBe(99);
    }
    old.broken = JSON.stringify({ schemaVersion: 99, listings: [] });
    await expect(node.sync(id, { force: true })).rejects.toThrow(/schema version 99/);
    old.broken = JSON.stringify({ listings: old.tables.listings, count: 3 });
    await expect(node.sync(id, { force: true })).rejects.toThrow(/declares 3/);
    old.broken = JSON.stringify({ listings: old.tables.listings, sha256: '0'.repeat(64) });
    await expect(node.sync(id, { force: true })).rejects.toThrow(/sha256/);
    expect((await shown('listings')).size).toBe(99);
    expect(node.outcomes.at(-1)?.outcome.error?.code).toBe('export-differs');
  });

  it('is taken by POST /federation/import with the same checks, and only from who may', async () => {
    const body = JSON.stringify({ listings: [...old.tables.listings.slice(0, 5), { title: 'No id' }] });
    const path = `/federation/import?source=${encodeURIComponent(old.origin)}`;
    const send = (scopes: ('read' | 'worker' | 'operator')[], to = path): Promise<Response> =>
      node.fetch(to, { method: 'POST', body, scopes, headers: { 'content-type': 'application/json' } });
    expect((await send(['read'])).status).toBe(403);
    const taken = await send(['read', 'operator']);
    expect(taken.status).toBe(200);
    expect(await taken.json()).toMatchObject({
      source: id,
      imported: 5,
      refusedCount: 1,
      refused: [{ index: 5 }],
    });
    expect((await send(['read', 'worker'])).status).toBe(200);
    expect((await send(['read', 'worker'], '/federation/import')).status, 'not a registered node').toBe(404);
    expect(await (await send(['read', 'operator'], '/federation/import')).json()).toMatchObject({
      source: 'legacy:import',
    });
  });

  it('is pulled by its URL or not at all', async () => {
    const pull = async (body: unknown): Promise<[number, unknown]> => {
      const headers = { 'content-type': 'application/json' };
      const response = await node.fetch('/federation/pull', {
        method: 'POST',
        body: JSON.stringify(body),
        headers,
        scopes: ['read', 'operator'],
      });
      return [response.status, await response.json()];
    };
    expect(await pull({ sourceUrl: `${old.origin}/` })).toEqual([
      202,
      { job: { id: `job-of-${id}`, state: 'waiting' } },
    ]);
    expect(node.jobs).toEqual([{ source: id, force: false }]);
    for (const sourceUrl of [
      'http://169.254.169.254/',
      'http://127.0.0.1:1',
      'file:///etc/passwd',
      'nonsense',
    ])
      expect((await pull({ sourceUrl }))[0]).toBe(404);
  });

  it('is synced by GET /federation/sync, once a minute', async () => {
    node.now = 1_000_000;
    const ask = async () => (await (await node.fetch('/federation/sync')).json()) as Record<string, unknown>;
    expect(await ask()).toEqual({ status: 'queued', jobs: 1 });
    node.now += 59_999;
    expect(await ask()).toEqual({
      status: 'queued',
      coalesced: true,
      next: new Date(1_060_000).toISOString(),
    });
    node.now += 1;
    expect(await ask()).toEqual({ status: 'queued', jobs: 1 });
    expect(node.jobs.length).toBe(2);
  });
});

describe('a re-pull after one change in 12,000 records', () => {
  it('costs at most a hundredth of the bytes of a full legacy export', async () => {
    const count = 12_000;
    const old = await startLegacyNode(count, { etag: false });
    const a = await startExchangeNode();
    const b = await startExchangeNode();
    a.befriend(b);
    b.befriend(a);
    const id: `legacy:${string}` = `legacy:${old.origin}`;
    b.httpNodes.push({ id, origin: old.origin, status: 'active' });
    const fieldsOf = ({ type, title, description, price, location, category }: Record<string, unknown>) => ({
      type,
      title,
      description,
      price,
      location,
      category,
    });
    for (let at = 0; at < count; at += 1000)
      await Promise.all(
        old.tables.listings
          .slice(at, at + 1000)
          .map((each) => a.ledgerNode.catalogue.createListing(fieldsOf(each))),
      );
    await b.sync(a.identity.peerId);
    await b.sync(id);
    expect(b.digest()).toBe(a.digest());

    const mark = a.sent();
    const [key] = (await a.ledgerNode.views()).keys();
    if (key === undefined) throw new Error('nothing was written');
    await a.ledgerNode.catalogue.patch(key, { price: 1 });
    Object.assign(old.tables.listings[0] ?? {}, { price: 1, updatedAt: '2026-06-01T00:00:00.000Z' });
    const before = old.sent();
    const startedEntries = performance.now();
    expect((await b.sync(a.identity.peerId)).received).toBe(1);
    const startedLegacy = performance.now();
    expect((await b.sync(id)).imported).toBe(1);
    const ended = performance.now();
    const entries = a.sent() - mark;
    const legacy = old.sent() - before;
    console.log(
      `re-pull after one change in ${count}: signed entries ${entries} bytes in ${(startedLegacy - startedEntries).toFixed(0)} ms; ` +
        `full legacy export and import ${legacy} bytes in ${(ended - startedLegacy).toFixed(0)} ms`,
    );
    expect(b.digest()).toBe(a.digest());
    expect(legacy / entries).toBeGreaterThan(100);
    await Promise.all([a.stop(), b.stop(), old.stop()]);
  });
});
