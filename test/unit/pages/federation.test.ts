import { afterAll, beforeAll, expect, it } from 'vitest';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { FormBrowser } from '../../support/browser.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('page-federation');
const other = identityFromSeed(new Uint8Array(32).fill(7)).peerId;
let node: TestNode;
let operator: FormBrowser;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  operator = new FormBrowser(node);
  await operator.signIn(TEST_KEY);
  await operator.get('/admin/federation');
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const page = async (path = '/admin/federation'): Promise<string> => (await operator.get(path)).text();
const statusOf = async (): Promise<string> => (await node.context.registration.node(other)).status;

/** Sends the form, and reads the page that it leads to. */
async function press(path: string): Promise<string> {
  const done = await operator.post(`/admin/federation/${path}`, {});
  expect([path, done.status, done.headers.get('location')]).toEqual([path, 303, '/admin/federation']);
  return page();
}

it('changes the state of a node with its buttons, as the API does, and says so once', async () => {
  expect(await page()).toContain('No node is registered yet.');
  await registerHere(node, other);
  expect(await page()).toMatch(/○ unreachable[^]*?aria-label="Suspend: /);
  expect(await press(`${other}/suspend`)).toContain(`${other} is suspended.`);
  expect(await statusOf()).toBe('suspended');
  expect(await page()).not.toContain(`${other} is suspended.`);
  await press(`${other}/resume`);
  expect(await statusOf()).toBe('active');
});

it('asks on a page of its own before it revokes', async () => {
  const asked = await page(`/admin/federation/${other}/revoke`);
  expect(asked).toContain('the keys it registered with are revoked: none.');
  expect(await statusOf()).toBe('active');
  await press(`${other}/revoke`);
  expect(await statusOf()).toBe('revoked');
  expect(await page()).toMatch(/aria-label="Approve: /);
});

it('says in one line what did not work', async () => {
  for (const [path, status, code] of [
    [`${other}/suspend`, 409, 'node-state'],
    [`${other}/sync`, 404, 'source-unknown'],
    ['nobody/approve', 404, 'node-unknown'],
  ] as const) {
    const refused = await operator.post(`/admin/federation/${path}`, {});
    const text = await refused.text();
    expect([path, text.match(/role="alert"/g)?.length, text.includes(`<code>${code}</code>`)]).toEqual([
      path,
      1,
      true,
    ]);
    expect([path, refused.status]).toEqual([path, status]);
  }
});

it('queues a sync of a node that has an address', async () => {
  const url = 'http://127.0.0.1:9';
  const third = identityFromSeed(new Uint8Array(32).fill(9)).peerId;
  await registerHere(node, third, { nodeUrl: url });
  expect(await page()).toMatch(/aria-label="Sync now: http:\/\/127\.0\.0\.1:9"/);
  await press(`${third}/sync`);
  const { jobs } = await node.context.jobs.list({ limit: 10 });
  expect(jobs.some(({ name, data }) => name === 'federation-sync' && data['source'] === third)).toBe(true);
});

it('shows an invitation once: a key that registers one node, and the command for the other operator', async () => {
  const made = await operator.post('/admin/federation/invitations', { who: '<b>Kisumu' });
  expect([made.status, made.headers.get('cache-control')]).toEqual([200, 'no-store']);
  const text = await made.text();
  const [, url = '', key = ''] = /agrinet join (\S+) --key (agk_[\w-]+)/.exec(text) ?? [];
  expect(URL.canParse(url)).toBe(true);
  expect(text).toContain('Invitation for &lt;b&gt;Kisumu');
  expect(await node.context.keys.validate('<b>Kisumu', key)).toBe(true);
  const { keys } = await node.context.keys.list({ userId: '<b>Kisumu', limit: 5 });
  expect(keys.map(({ scopes, uses }) => [scopes, uses])).toEqual([[['register'], 1]]);
  expect(await page()).not.toContain(key);
});

it('shows the form again with what was typed when it is not a name', async () => {
  const wrong = await operator.post('/admin/federation/invitations', { who: 'x'.repeat(129) });
  expect(wrong.status).toBe(422);
  const text = await wrong.text();
  expect(text).toContain('x'.repeat(129));
  expect(text).toMatch(/role="alert" id="problem">Type a name/);
});

it('is the operator’s alone', async () => {
  const issued = await node.request('POST', '/api/keys', { userId: 'amina', scopes: ['read', 'write'] });
  const { key } = (await issued.json()) as { key: string };
  const member = new FormBrowser(node);
  await expect
    .poll(async () => (await member.signIn(key)).status, { interval: 1000, timeout: 10_000 })
    .toBe(303);
  expect((await member.get('/admin/federation')).status).toBe(403);
  expect((await member.post(`/admin/federation/${other}/approve`, {})).status).toBe(403);
  expect((await member.post('/admin/federation/invitations', { who: 'x' })).status).toBe(403);
  expect(await statusOf()).toBe('revoked');
});
