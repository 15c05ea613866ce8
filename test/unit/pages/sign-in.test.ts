import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localPath } from '../../../api/pages/local-path.ts';
import { SESSION_LIMITS } from '../../../daemon/access/sessions.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { range } from '../../../storage/keyspace.ts';
import { FormBrowser } from '../../support/browser.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let node: TestNode;
/** Added to the clocks. */
let later = 0;
const env = {
  ...systemEnv,
  now: () => systemEnv.now() + later,
  monotonic: () => systemEnv.monotonic() + later,
};
beforeEach(async () => {
  later = 0;
  dir = tempDir('sign-in');
  node = await startNode(dir.path, { RATE_LIMIT: 'off' }, undefined, { env });
});
afterEach(async () => {
  await node.stop();
  dir.remove();
});

const codeOf = async (response: Response): Promise<string> =>
  /<code>([a-z-]+)<\/code>/.exec(await response.text())?.[1] ?? '';

async function issued(userId: string, scopes = ['read', 'write']): Promise<{ id: string; key: string }> {
  return (await (await node.request('POST', '/api/keys', { userId, scopes })).json()) as {
    id: string;
    key: string;
  };
}

async function operator(): Promise<FormBrowser> {
  const browser = new FormBrowser(node);
  expect((await browser.signIn(TEST_KEY)).headers.get('location')).toBe('/admin');
  return browser;
}

describe('signing in with a key', () => {
  it('leads to the page that was asked for, with a cookie that scripts and other sites do not get', async () => {
    const browser = new FormBrowser(node);
    const away = await browser.get('/admin?x=1');
    expect([away.status, away.headers.get('location')]).toEqual([303, '/sign-in?next=%2Fadmin%3Fx%3D1']);
    const form = await (await browser.get('/sign-in?next=%2Fadmin%3Fx%3D1')).text();
    expect(form).toContain('name="next" value="/admin?x=1"');
    const done = await browser.signIn(TEST_KEY, '/admin?x=1');
    expect([done.status, done.headers.get('location')]).toEqual([303, '/admin?x=1']);
    expect(done.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^agrinet-\w{8}=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/),
    ]);
    const page = await browser.get('/admin');
    expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await page.text()).toContain('You are signed in.');
    expect(await (await browser.get('/admin')).text()).not.toContain('You are signed in.');
  });

  it('keeps the hash of the token alone, also on disk', async () => {
    const browser = await operator();
    const [token = ''] = browser.cookies.values();
    let rows = 0;
    for await (const [key, value] of node.node.db.level.iterator(range('sessions'))) {
      rows++;
      expect(key + Buffer.from(value).toString('latin1')).not.toContain(token);
    }
    expect(rows).toBe(1);
  });

  it('gives what the key gives: a member has no page of the operator, and the API knows no session', async () => {
    const { key } = await issued('amina');
    const browser = new FormBrowser(node);
    expect((await browser.signIn(key)).headers.get('location')).toBe('/');
    expect(await (await browser.get('/')).text()).toContain('Signed in as amina');
    const refused = await browser.get('/admin');
    expect([refused.status, await codeOf(refused)]).toEqual([403, 'forbidden']);
    later += 1000;
    expect((await (await operator()).get('/api/keys')).status).toBe(403);
  });

  it('ends with the key, at once', async () => {
    const { id, key } = await issued('amina', ['operator']);
    const browser = new FormBrowser(node);
    await browser.signIn(key);
    expect((await browser.get('/admin')).status).toBe(200);
    await node.request('POST', '/api/keys/revoke', { id });
    expect((await browser.get('/admin')).status).toBe(303);
    expect((await node.context.sessions()).list()).toEqual([]);
  });

  it('refuses a wrong key with a form that says so, and counts attempts by address', async () => {
    const browser = new FormBrowser(node);
    const wrong = await browser.signIn('agk_nothing_nothing');
    expect([wrong.status, wrong.headers.getSetCookie()]).toEqual([403, []]);
    expect(await wrong.text()).toMatch(/role="alert"[^>]*>This key is not valid[^]*aria-invalid="true"/);
    const soon = await browser.signIn(TEST_KEY);
    expect([soon.status, soon.headers.get('retry-after')]).toEqual([429, '2']);
    later += 2000;
    expect((await browser.signIn(TEST_KEY)).status).toBe(303);
  });
});

describe('a session', () => {
  it('has a new token at every sign-in: one that was planted before is worth nothing', async () => {
    const browser = new FormBrowser(node);
    const planted = 'A'.repeat(43);
    browser.cookies.set(`agrinet-${node.peerId.slice(-8)}`, planted);
    await browser.signIn(TEST_KEY);
    const [first] = browser.cookies.values();
    later += 1000;
    await browser.signIn(TEST_KEY);
    const [second] = browser.cookies.values();
    expect(new Set([planted, first, second]).size).toBe(3);
    const old = new FormBrowser(node);
    old.cookies.set(`agrinet-${node.peerId.slice(-8)}`, first ?? '');
    expect((await old.get('/admin')).status).toBe(303);
  });

  it('is renewed by use, ends a week after the last and a month after the first', async () => {
    const browser = await operator();
    for (let used = 0; used < 4; used++) {
      later += SESSION_LIMITS.idleMs - 60_000;
      expect((await browser.get('/admin')).status).toBe(200);
    }
    later += SESSION_LIMITS.idleMs - 60_000;
    expect((await browser.get('/admin')).status).toBe(303);
    const other = await operator();
    later += SESSION_LIMITS.idleMs;
    expect((await other.get('/admin')).status).toBe(303);
  });

  it('lasts over a restart, unless the key of the node has changed', async () => {
    const browser = await operator();
    const identity = node.node.identity;
    await node.stop();
    node = await startNode(dir.path, { RATE_LIMIT: 'off' }, identity, { env });
    const again = new FormBrowser(node);
    for (const [name, value] of browser.cookies) again.cookies.set(name, value);
    expect((await again.get('/admin')).status).toBe(200);
  });

  it('ends by its button, here or everywhere', async () => {
    const [one, two, three] = [
      await operator(),
      ((later += 1000), await operator()),
      ((later += 1000), await operator()),
    ];
    expect((await one.post('/sign-out', {})).status).toBe(303);
    expect(one.cookies.size).toBe(0);
    expect([(await one.get('/admin')).status, (await two.get('/admin')).status]).toEqual([303, 200]);
    await two.post('/sign-out/everywhere', {});
    expect([(await two.get('/admin')).status, (await three.get('/admin')).status]).toEqual([303, 303]);
  });

  it('leaves a line in the audit log', async () => {
    await operator();
    await expect
      .poll(async () => JSON.stringify((await node.context.audit.list({ limit: 20 })).lines))
      .toContain('signed in by key');
  });

  it('is one of twenty of a key: the one used longest ago ends', async () => {
    const sessions = await node.context.sessions();
    const principal = await node.context.access.authenticate({ apiKey: TEST_KEY });
    const about = { by: 'key', agent: 'test' } as const;
    const first = await sessions.start(principal, about);
    for (let n = 1; n < SESSION_LIMITS.perPrincipal; n++) {
      later += 1;
      await sessions.start(principal, about);
    }
    expect(sessions.find(first.token)).toBeDefined();
    later += 1;
    await sessions.start(principal, about);
    expect(sessions.list()).toHaveLength(SESSION_LIMITS.perPrincipal);
  });
});

describe('a form', () => {
  it('from another site, or of another session, does nothing', async () => {
    const browser = await operator();
    for (const [headers, fields, code] of [
      [{ 'sec-fetch-site': 'cross-site' }, {}, 'origin-refused'],
      [{ 'sec-fetch-site': 'same-site' }, {}, 'origin-refused'],
      [{ origin: 'https://evil.example' }, {}, 'origin-refused'],
      [{ origin: 'null' }, {}, 'origin-refused'],
      [{}, { csrf: '' }, 'form-stale'],
      [{}, { csrf: 'x'.repeat(43) }, 'form-stale'],
    ] as const) {
      const refused = await browser.post('/sign-out/everywhere', fields, headers);
      expect([refused.status, await codeOf(refused)], JSON.stringify([headers, fields])).toEqual([403, code]);
    }
    const json = await browser.post('/sign-out/everywhere', {}, { 'content-type': 'text/plain' });
    expect(await codeOf(json)).toBe('media-unsupported');
    expect((await browser.get('/admin')).status).toBe(200);
  });

  it('with a key in place of a session does nothing: keys are for the API', async () => {
    const browser = new FormBrowser(node);
    const refused = await browser.post('/sign-out/everywhere', {}, { 'x-api-key': TEST_KEY });
    expect([refused.status, await codeOf(refused)]).toEqual([403, 'form-stale']);
  });
});

it('nothing leads away from the node after signing in', () => {
  for (const wanted of [
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/.//evil.example',
    '/x/..//evil.example',
    'javascript:alert(1)',
    ' /admin',
    '/admin\r\nset-cookie: a=b',
    '',
  ])
    expect([wanted, localPath(wanted, '/else')]).toEqual([wanted, '/else']);
  expect(localPath('/admin?a=b#c', '/else')).toBe('/admin?a=b');
});

describe('a link to sign in', () => {
  it('works once, and within a quarter of an hour; looking at it does not use it up', async () => {
    const sessions = await node.context.sessions();
    const { token } = sessions.makeLink();
    const browser = new FormBrowser(node);
    for (let looks = 0; looks < 2; looks++)
      expect(await (await browser.get(`/sign-in/link?token=${token}`)).text()).toContain(`value="${token}"`);
    expect((await browser.post('/sign-in/link', { token })).headers.get('location')).toBe('/admin');
    expect((await browser.get('/admin')).status).toBe(200);
    later += 1000;
    const second = await new FormBrowser(node).post('/sign-in/link', { token });
    expect([second.status, await codeOf(second)]).toEqual([403, 'sign-in-link-used']);
    const old = sessions.makeLink();
    later += SESSION_LIMITS.linkMs;
    expect((await new FormBrowser(node).post('/sign-in/link', { token: old.token })).status).toBe(403);
  });
});
