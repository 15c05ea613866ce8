import { afterEach, expect, it } from 'vitest';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Served, serveNode } from '../../support/served-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let node: TestNode;
let served: Served;
afterEach(async () => {
  served.close();
  await node.stop();
  dir.remove();
});

async function serve(trustProxy: 'on' | 'off'): Promise<void> {
  dir = tempDir('private-connection');
  node = await startNode(dir.path, { RATE_LIMIT: 'off', TRUST_PROXY: trustProxy });
  served = await serveNode(node);
}

/** Signs in over the socket, with what a proxy adds. */
function signIn(headers: Record<string, string>): Promise<Response> {
  const body = new URLSearchParams({ key: TEST_KEY });
  return fetch(`${served.url}/sign-in`, { method: 'POST', redirect: 'manual', headers, body });
}

const elsewhere = { 'x-forwarded-for': '192.0.2.7' };

it('behind a trusted proxy that ends TLS, the cookie is Secure and of this host alone, and is asked for by that name', async () => {
  await serve('on');
  const done = await signIn({ ...elsewhere, 'x-forwarded-proto': 'https' });
  expect(done.status).toBe(303);
  const [cookie = ''] = done.headers.getSetCookie();
  expect(cookie).toMatch(
    /^__Host-agrinet-\w{8}=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  );
  const [pair = ''] = cookie.split(';');
  const open = async (sent: string, proto: string): Promise<number> => {
    const headers = { ...elsewhere, 'x-forwarded-proto': proto, cookie: sent };
    return (await fetch(`${served.url}/admin`, { redirect: 'manual', headers })).status;
  };
  expect(await open(pair, 'https')).toBe(200);
  // Another host of the domain can set a cookie without the prefix; and over plain HTTP there is no session.
  expect(await open(pair.replace('__Host-', ''), 'https')).toBe(303);
  expect(await open(pair, 'http')).toBe(303);
});

it.each([
  ['on', { ...elsewhere, 'x-forwarded-proto': 'http' }],
  ['on', elsewhere],
  ['off', elsewhere],
  ['off', { ...elsewhere, 'x-forwarded-proto': 'https' }],
] as const)(
  'nobody signs in over plain HTTP from another machine (TRUST_PROXY=%s, %j)',
  async (trust, headers) => {
    await serve(trust);
    const refused = await signIn(headers);
    expect([refused.status, refused.headers.getSetCookie()]).toEqual([403, []]);
    expect(await refused.text()).toContain('<code>sign-in-insecure</code>');
  },
);
