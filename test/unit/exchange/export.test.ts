import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { byteStream } from '../../../api/byte-stream.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { newGeneration } from '../../../storage/change-order.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';

interface Item {
  readonly id: string;
  readonly owner: string;
  readonly title?: string;
  readonly deleted?: boolean;
}
interface Export {
  readonly full: boolean;
  readonly listings: Item[];
  readonly contracts: Item[];
  readonly count: number;
  readonly sha256: string;
  readonly cursor: string;
}

const sha256 = (lines: readonly string[]): string =>
  createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');

describe('GET /federation/export', () => {
  let node: ExchangeNode;
  let other: ExchangeNode;

  beforeEach(async () => {
    node = await startExchangeNode();
    other = await startExchangeNode();
    node.befriend(other);
    other.befriend(node);
    for (const title of ['Maize', 'Beans', 'Sorghum'])
      await node.ledgerNode.catalogue.createListing({ type: 'offer', title });
    await other.ledgerNode.catalogue.createListing({ type: 'request', title: 'Millet' });
    await node.ledgerNode.catalogue.createContract({ title: 'Open' }, []);
    await node.ledgerNode.catalogue.createContract({ title: 'Private' }, [other.identity.peerId]);
    await node.sync(other.identity.peerId);
  });
  afterEach(async () => {
    await node.stop();
    await other.stop();
  });

  const get = async (query = '', headers: Record<string, string> = {}): Promise<Export> =>
    (await (await node.fetch(`/federation/export${query}`, { headers })).json()) as Export;
  const titles = ({ listings }: Export): string[] => listings.map(({ title }) => title ?? '').sort();

  it('holds the public catalogue, with a count and a hash that hold', async () => {
    const found = await get();
    expect(found.full).toBe(true);
    expect(titles(found)).toEqual(['Beans', 'Maize', 'Millet', 'Sorghum']);
    expect(found.contracts.map(({ title }) => title)).toEqual(['Open']);
    expect(found).toMatchObject({
      schemaVersion: 1,
      node: node.identity.peerId,
      trends: [],
      transactions: [],
      users: [],
    });
    const items = [...found.listings, ...found.contracts];
    expect(found.count).toBe(items.length);
    expect(found.sha256).toBe(sha256(items.map((item) => JSON.stringify(item))));
    expect(new Set(items.map(({ owner }) => owner))).toEqual(
      new Set([node.identity.peerId, other.identity.peerId]),
    );
    expect(titles(await get('?owner=self'))).toEqual(['Beans', 'Maize', 'Sorghum']);
    expect((await node.fetch('/federation/export?owner=nobody')).status).toBe(400);
  });

  it('comes as lines by Accept', async () => {
    const response = await node.fetch('/federation/export', { headers: { accept: 'application/x-ndjson' } });
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await response.text()).trimEnd().split('\n');
    const parsed = lines.map((line) => JSON.parse(line) as { kind: string; count?: number; sha256?: string });
    expect(parsed.map(({ kind }) => kind)).toEqual([
      'header',
      ...Array.from({ length: 4 }, () => 'listings'),
      'contracts',
      'end',
    ]);
    expect(parsed.at(-1)).toMatchObject({ count: 5, sha256: sha256(lines.slice(1, -1)) });
  });

  it('since a cursor holds what came in after it, ended records too, in whatever order it was written', async () => {
    const { cursor, listings } = await get();
    expect((await get(`?since=${cursor}`)).count).toBe(0);
    const [first] = listings.filter(({ owner }) => owner === node.identity.peerId);
    const key = [...(await node.ledgerNode.views()).keys()].find((each) =>
      each.endsWith(first?.id.split('.')[1] ?? '-'),
    );
    if (key === undefined) throw new Error('no such record');
    await node.ledgerNode.catalogue.remove(key);
    // Written before the cursor, arrives after it: by updatedAt it would be skipped.
    await other.ledgerNode.catalogue.createListing({ type: 'offer', title: 'Late' });
    await node.sync(other.identity.peerId);
    const changed = await get(`?since=${cursor}`);
    expect(changed.full).toBe(false);
    expect(changed.listings.map(({ id, deleted, title }) => [deleted === true ? id : title])).toEqual([
      [first?.id],
      ['Late'],
    ]);
    expect((await get(`?since=${changed.cursor}`)).count).toBe(0);
    expect((await get('?owner=self')).listings.map(({ id }) => id)).not.toContain(first?.id);
  });

  it('is full again for a cursor of another generation, or from the future', async () => {
    const { cursor } = await get();
    const [generation] = cursor.split('.');
    expect(await get(`?since=${generation}.zzzz`)).toMatchObject({ full: true, count: 5 });
    await node.ledgerNode.db.batch([newGeneration(systemEnv)], true);
    expect(await get(`?since=${cursor}`)).toMatchObject({ full: true, count: 5 });
    expect((await node.fetch('/federation/export?since=nonsense')).status).toBe(400);
  });

  it('answers 304 until something changes, for this format and cursor only', async () => {
    const response = await node.fetch('/federation/export');
    const { cursor } = (await response.json()) as Export;
    const etag = response.headers.get('etag') ?? '';
    const status = async (query = '', headers: Record<string, string> = {}): Promise<number> => {
      const again = await node.fetch(`/federation/export${query}`, {
        headers: { 'if-none-match': etag, ...headers },
      });
      await again.arrayBuffer();
      return again.status;
    };
    expect(await status()).toBe(304);
    expect(await status('', { accept: 'application/x-ndjson' })).toBe(200);
    expect(await status('?owner=self')).toBe(200);
    expect(await status(`?since=${cursor}`)).toBe(200);
    await node.ledgerNode.catalogue.createListing({ type: 'offer', title: 'New' });
    expect(await status()).toBe(200);
  });
});

describe('an answer as a stream', () => {
  it('asks its source only when it is read, and ends it when the reader goes', async () => {
    let made = 0;
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Uint8Array.of(++made);
      } finally {
        ended = true;
      }
    }
    const reader = byteStream(source()).getReader();
    await reader.read();
    await reader.read();
    expect(made).toBe(2);
    await reader.cancel();
    expect(ended).toBe(true);
  });
});
