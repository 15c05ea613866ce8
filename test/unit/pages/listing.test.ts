import { afterAll, beforeAll, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);
const dir = tempDir('listing-page');
let node: TestNode;

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off', REGION: 'Nyanza' });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

async function made(fields: Record<string, unknown>): Promise<string> {
  const answer = await node.request('POST', '/listings', { type: 'offer', ...fields });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { listingId: string }).listingId;
}
const pageOf = async (id: string, language = 'en'): Promise<[status: number, text: string]> => {
  const answer = await node.app.request(`/market/listings/${id}?lang=${language}`);
  return [answer.status, await answer.text()];
};

it('shows what is offered, where, at which price, and what is known of the seller', async () => {
  const id = await made({
    title: 'Maize, dry',
    description: 'Two rooms full.\nCome and see.',
    commodity: 'Maize',
    quantity: 1200,
    unit: 'kg',
    price: 45.5,
    currency: 'KES',
    location: 'Kisumu',
    region: 'Nyanza',
  });
  const [status, text] = await pageOf(id);
  expect(status).toBe(200);
  expect(text).toContain('<h1>Maize, dry</h1>');
  for (const shown of [
    '45.5 KES / kg',
    '1,200 kg',
    'Kisumu, Nyanza',
    'Two rooms full.\nCome and see.',
    'Offer',
  ])
    expect(text).toContain(shown);
  expect(text).toContain('Nobody has rated the seller yet.');
  expect((await pageOf(id, 'sw'))[1]).toContain('Hakuna aliyemtathmini');
  expect(await (await node.app.request('/')).text()).toContain(`href="/market/listings/${id}"`);
});

it('shows pictures that this node serves, and loads none from elsewhere', async () => {
  const uploaded = await node.app.request('/attachments', {
    method: 'POST',
    headers: {
      'x-api-key': 'test-key-of-a-node-in-this-process',
      'content-type': 'application/octet-stream',
    },
    body: PIXEL,
  });
  const { sha256 } = (await uploaded.json()) as { sha256: string };
  const images = [{ sha256, name: 'heap "1".png' }, 'https://elsewhere.example/x.png'];
  const [, text] = await pageOf(await made({ title: 'pictured', images }));
  const [, source = ''] = /<img\s+class="picture"\s+src="([^"]+)"/.exec(text) ?? [];
  expect(source).toMatch(new RegExp(`^/attachments/listings/.+/${sha256}$`));
  const picture = await node.app.request(source);
  expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/png']);
  expect(text).not.toContain('elsewhere.example');
});

it('shows what others wrote as text, whatever it is', async () => {
  const hostile = '"><script>alert(1)</script><b>';
  const fields = ['title', 'description', 'commodity', 'unit', 'location', 'region', 'market'];
  const [status, text] = await pageOf(
    await made({ currency: '"><b>', price: 1, ...Object.fromEntries(fields.map((each) => [each, hostile])) }),
  );
  expect(status).toBe(200);
  expect(text).not.toContain('<script>alert');
  expect(text).not.toContain('<b>');
  expect(text.split('&lt;script&gt;alert(1)').length).toBeGreaterThan(fields.length);
});

it('a listing that has gone, or never was, is 404 as a page', async () => {
  const id = await made({ title: 'sold' });
  expect((await node.request('DELETE', `/listings/${id}`)).status).toBeLessThan(300);
  for (const gone of [id, 'none', `${node.peerId}.none`, '%00', 'a'.repeat(3000)]) {
    const [status, text] = await pageOf(gone);
    expect([gone, status]).toEqual([gone, 404]);
    expect(text).toContain('There is no such page');
  }
});
