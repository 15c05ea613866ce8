import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { FormBrowser } from '../../support/browser.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('page-keys');
let node: TestNode;
let operator: FormBrowser;
/** Added to the clocks: attempts to sign in are limited. */
let later = 0;
const env = {
  ...systemEnv,
  now: () => systemEnv.now() + later,
  monotonic: () => systemEnv.monotonic() + later,
};
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' }, undefined, { env });
  operator = await signedIn(TEST_KEY);
  await page();
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const page = async (): Promise<string> => (await operator.get('/admin/keys')).text();

async function signedIn(key: string): Promise<FormBrowser> {
  later += 2000;
  const browser = new FormBrowser(node, { 'user-agent': '<i>Browser</i>' });
  expect((await browser.signIn(key)).status).toBe(303);
  return browser;
}

it('issues a key with its scopes, shown once, and revokes it with the sessions signed in with it', async () => {
  const made = await operator.post('/admin/keys', { user: '<b>amina', scope: 'operator', days: '2' });
  expect([made.status, made.headers.get('cache-control')]).toEqual([200, 'no-store']);
  const text = await made.text();
  const [key = ''] = /agk_[\w-]+/.exec(text) ?? [];
  expect(text).toContain('Key for &lt;b&gt;amina');
  const { keys } = await node.context.keys.list({ userId: '<b>amina', limit: 5 });
  expect(keys.map(({ scopes, issuedAt, expiresAt }) => [scopes, expiresAt - issuedAt])).toEqual([
    [['operator'], 2 * 24 * 3600 * 1000],
  ]);
  const id = keys[0]?.id ?? '';
  const other = await signedIn(key);
  expect((await other.get('/admin')).status).toBe(200);
  const listed = await page();
  expect(listed).toContain(`action="/admin/keys/${id}/revoke"`);
  expect(listed).not.toContain(key);
  expect((await operator.post(`/admin/keys/${id}/revoke`, {})).headers.get('location')).toBe('/admin/keys');
  expect((await other.get('/admin')).status).toBe(303);
  const after = await page();
  expect(after).toContain('The key of &lt;b&gt;amina is revoked.');
  expect(after).not.toContain(`action="/admin/keys/${id}/revoke"`);
  // Without a button in it, the table itself can be reached to be scrolled.
  expect(after).toMatch(/aria-label="API keys" tabindex="0"/);
});

it('shows the form again with what was typed when no such key could be issued', async () => {
  for (const fields of [
    { user: '', scope: 'read', days: '90' },
    { user: 'amina', scope: 'root', days: '90' },
    { user: 'amina', days: '90' },
    { user: 'amina', scope: 'read', days: '367' },
    { user: 'amina', scope: 'read', days: 'x' },
  ]) {
    const wrong = await operator.post('/admin/keys', fields);
    const text = await wrong.text();
    expect([fields, wrong.status, text.includes('id="problem"')]).toEqual([fields, 422, true]);
    expect(text).toMatch(new RegExp(`name="user"[^>]*value="${fields.user}"`));
  }
  expect((await node.context.keys.list({ userId: 'amina', limit: 5 })).keys).toEqual([]);
});

it('lists the signed-in browsers, ends one, and all of a key', async () => {
  const [second, third] = [await signedIn(TEST_KEY), await signedIn(TEST_KEY)];
  const listed = await page();
  expect(listed.match(/action="\/sign-out"[^]*?aria-label="Sign out: this browser"/g)).toHaveLength(1);
  expect(listed).toContain('&lt;i&gt;Browser');
  const ids = [...listed.matchAll(/name="id" value="([0-9a-f]{64})"/g)].map(([, id]) => id ?? '');
  expect(ids).toHaveLength(2);
  // The last used comes first.
  await operator.post('/admin/keys/sessions/end', { id: ids[0] ?? '' });
  expect(await page()).toContain('That browser is signed out.');
  expect([(await third.get('/admin')).status, (await second.get('/admin')).status]).toEqual([303, 200]);
  await operator.post('/admin/keys/sessions/end', { id: ids[0] ?? '' });
  expect(await page()).toContain('That browser was signed out already.');
  await operator.post('/sign-out/everywhere', {});
  expect([(await operator.get('/admin')).status, (await second.get('/admin')).status]).toEqual([303, 303]);
});
