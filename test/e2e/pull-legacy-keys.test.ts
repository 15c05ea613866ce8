import { mayRetry } from '../../protocols/error-codes.ts';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpTarget } from '../../daemon/federation/http-target.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { type ExchangeNode, startExchangeNode } from '../support/exchange-node.ts';
import { type LoopbackServer, serve } from '../support/loopback-server.ts';

/** As the published back end: everything but `/health` stands behind its key. */
const KEY = 'key-of-the-old-back-end';
const ITEM = { id: 'maize', title: 'Maize', updatedAt: '2026-11-01 10:00:00' };
const BODY = JSON.stringify({ listings: [ITEM], contracts: [], transactions: [], users: [] });

let node: ExchangeNode;
const servers: { close(): Promise<void> }[] = [];
beforeEach(async () => {
  node = await startExchangeNode();
});
afterEach(async () => {
  for (const each of servers.splice(0)) await each.close();
  await node.stop();
});

async function source(
  listener: Parameters<typeof serve>[0],
): Promise<LoopbackServer & { id: `legacy:${string}` }> {
  const server = await serve(listener);
  servers.push(server);
  const id: `legacy:${string}` = `legacy:${server.url}`;
  node.httpNodes.push({ id, origin: server.url, status: 'active' });
  return Object.assign(server, { id });
}

describe('a source behind a key', () => {
  const seen: (string | undefined)[] = [];
  const behindKey: Parameters<typeof serve>[0] = (request, answer) => {
    const key = request.headers['x-api-key'];
    seen.push(typeof key === 'string' ? key : undefined);
    if (key !== KEY) answer.writeHead(403).end('{"error":"Unauthorized: Invalid API Key or Token"}');
    else answer.writeHead(200, { 'content-type': 'application/json' }).end(BODY);
  };
  beforeEach(() => seen.splice(0));

  it('is refused for good without one, and pulled with it', async () => {
    const { id, url } = await source(behindKey);
    await expect(node.sync(id)).rejects.toMatchObject({
      code: 'source-key-needed',
      message: `${url} requires an API key: agrinet nodes add ${url} --key-file <file with the key>`,
    });
    expect(node.outcomes.at(-1)?.outcome.error?.code).toBe('source-key-needed');
    node.sourceKeys.set(id, 'a-stale-one');
    const stale: unknown = await node.sync(id).catch((error: unknown) => error);
    expect(stale).toMatchObject({ code: 'source-key-refused' });
    expect((['source-key-needed', 'source-key-refused'] as const).filter(mayRetry)).toEqual([]);
    expect(String(stale)).not.toContain('a-stale-one');
    node.sourceKeys.set(id, KEY);
    expect(await node.sync(id)).toMatchObject({ imported: 1, refused: 0 });
    expect(seen).toEqual([undefined, 'a-stale-one', KEY]);
  });

  it('is pulled by a worker that the daemon gives the key to, and shows it to nobody else', async () => {
    const { id } = await source(behindKey);
    node.sourceKeys.set(id, KEY);
    const path = `/federation/plan?${new URLSearchParams({ source: id, frontier: 'true' }).toString()}`;
    expect((await node.fetch(path, { method: 'POST', scopes: ['read'] })).status).toBe(403);
    node.trustEveryone = ['read', 'worker'];
    expect(await node.sync(id, { target: new HttpTarget(node.url, 'any', systemEnv) })).toMatchObject({
      imported: 1,
    });
    for (const public_ of ['/federation/export', '/federation/legacy/listings', '/federation/feeds'])
      expect(await (await node.fetch(public_)).text()).not.toContain(KEY);
    for await (const value of node.ledgerNode.db.level.values())
      expect(Buffer.from(value).toString('latin1')).not.toContain(KEY);
  });

  it('gets it alone: no other source does, and no redirect takes it along', async () => {
    const other = await source(behindKey);
    const redirecting = await source((_, answer) =>
      answer.writeHead(302, { location: `${other.url}/federation/export` }).end(),
    );
    node.sourceKeys.set(redirecting.id, KEY);
    await expect(node.sync(redirecting.id)).rejects.toMatchObject({ code: 'peer-redirects' });
    await expect(node.sync(other.id)).rejects.toMatchObject({ code: 'source-key-needed' });
    expect(seen).toEqual([undefined]);
  });
});

describe('an export', () => {
  const BYTES = Buffer.from(BODY);
  it.each<[string, Record<string, string>, Buffer]>([
    [
      'with a byte order mark',
      { 'content-type': 'application/json' },
      Buffer.concat([Buffer.from('\uFEFF'), BYTES]),
    ],
    ['under gzip, though nobody asked', { 'content-encoding': 'gzip' }, gzipSync(BYTES)],
    ['under gzip that no header names', { 'content-type': 'application/gzip' }, gzipSync(BYTES)],
    ['that a header calls gzip and is not', { 'content-encoding': 'gzip' }, BYTES],
    ['as a page', { 'content-type': 'text/html' }, BYTES],
  ])('%s is read', async (_, headers, body) => {
    const { id } = await source((_request, answer) => answer.writeHead(200, headers).end(body));
    expect(await node.sync(id)).toMatchObject({ imported: 1, refused: 0 });
    expect(await node.sync(id)).toMatchObject({ imported: 0, unchanged: 1 });
  });

  it('over HTTP/1.0, which ends with its connection, is read', async () => {
    const server = createServer((socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n${BODY}`),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push({
      close: async () => {
        server.close();
        await once(server, 'close');
      },
    });
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    node.httpNodes.push({ id: `legacy:${origin}`, origin, status: 'active' });
    expect(await node.sync(`legacy:${origin}`)).toMatchObject({ imported: 1, refused: 0 });
  });

  it('under damaged or another compression is refused by name', async () => {
    const cut = gzipSync(BYTES);
    const damaged = await source((_, answer) =>
      answer.writeHead(200, { 'content-encoding': 'gzip' }).end(cut.subarray(0, cut.length - 8)),
    );
    await expect(node.sync(damaged.id)).rejects.toMatchObject({ code: 'export-malformed' });
    const brotli = await source((_, answer) =>
      answer.writeHead(200, { 'content-encoding': 'br' }).end(BYTES),
    );
    await expect(node.sync(brotli.id)).rejects.toMatchObject({ code: 'answer-malformed' });
  });

  it('that names one id twice leaves the newest, in either order', async () => {
    const old = { ...ITEM, title: 'old' };
    const newer = { ...ITEM, title: 'new', updatedAt: '2026-11-02T10:00:00Z' };
    for (const listings of [
      [old, newer],
      [newer, old],
    ]) {
      const { id, url } = await source((_, answer) => answer.end(JSON.stringify({ listings })));
      await node.sync(id);
      const query = new URLSearchParams({ source: url }).toString();
      const page = (await (await node.fetch(`/federation/legacy/listings?${query}`)).json()) as {
        items: { title: string }[];
      };
      expect(page.items.map(({ title }) => title)).toEqual(['new']);
    }
  });
});
