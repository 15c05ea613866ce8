import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let node: TestNode;
let old: Server | undefined;
beforeEach(async () => {
  dir = tempDir('page');
  node = await startNode(dir.path);
});
afterEach(async () => {
  await node.stop();
  old?.close();
  old = undefined;
  dir.remove();
});

const page = async (): Promise<string> => (await node.request('GET', '/status-page')).text();

/** Prices of one good in two months. */
function prices(commodity: string, before: number, after: number): object[] {
  const base = { commodity, market: 'Nairobi', unit: 'KG', priceType: 'Retail', currency: 'KES' };
  return [
    { ...base, date: '2026-09-15', price: before },
    { ...base, date: '2026-10-15', price: after },
  ];
}

it('an empty node says what to do first, and names no trouble', async () => {
  const text = await page();
  expect(text).toContain('● ready');
  expect(text).toContain('agrinet join');
  expect(text).toContain('Jobs: 0 queued or running');
  expect(text).not.toMatch(/degraded|▲|class="move"/);
  expect(text).not.toContain('style="');
});

it('prices that rose and fell are bars to either side, the larger change the longer one', async () => {
  for (const price of [...prices('Maize', 100, 150), ...prices('Beans', 100, 90)])
    expect((await node.request('POST', '/prices', price)).status).toBe(201);
  const text = await page();
  expect(text).toMatch(/Maize[^]*class="up"\s+x="0"\s+width="100"[^]*\+50 %/);
  expect(text).toMatch(/Beans[^]*class="down"\s+x="-20"\s+width="20"[^]*-10 %/);
});

it('an old node is shown as read over HTTP only, one that does not answer as pending', async () => {
  old = createServer((_, answer) => answer.writeHead(404).end());
  await new Promise<void>((resolve) => old?.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(old.address() as AddressInfo).port}`;
  expect((await node.request('POST', '/federation/nodes', { url, region: 'West' })).status).toBe(200);
  const away = await node.request('POST', '/federation/nodes', { url: 'http://127.0.0.1:1' });
  expect(await away.text()).toMatch(/stays pending[^"]*agrinet nodes approve legacy:http:\/\/127.0.0.1:1/);
  const text = await page();
  expect(text).toContain('HTTP only');
  expect(text).toContain('not pulled yet');
  expect(text).toContain('◌ pending');
});

it('what a node says of itself cannot become markup', async () => {
  await node.request('POST', '/listings', { type: 'offer', title: '<script>alert(1)</script>' });
  expect(await page()).toContain('&lt;script&gt;alert(1)');
  expect(await page()).not.toContain('<script>');
});
