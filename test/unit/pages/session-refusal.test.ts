import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgrinetError } from '../../../protocols/errors.ts';
import { range } from '../../../storage/keyspace.ts';
import { FormBrowser } from '../../support/browser.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let node: TestNode;
let browser: FormBrowser;
beforeEach(async () => {
  dir = tempDir('session-refusal');
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  browser = new FormBrowser(node);
  await browser.signIn(TEST_KEY);
});
afterEach(async () => {
  await node.stop();
  dir.remove();
});

async function stored(): Promise<number> {
  let rows = 0;
  for await (const _ of node.node.db.level.keys(range('sessions'))) rows++;
  return rows;
}

/** A disk that is full, for as long as the guard is told nothing else. */
function refuseWrites(): void {
  node.node.refusal.set(new AgrinetError('disk-full', 'the disk is full'));
}

/** The same cookie, in a browser that has not heard of the end. */
function sameCookie(): FormBrowser {
  const other = new FormBrowser(node);
  for (const [name, value] of browser.cookies) other.cookies.set(name, value);
  return other;
}

describe('signing out while nothing can be written', () => {
  it('ends the session here, says that a restart would undo it, and forgets the cookie', async () => {
    const thief = sameCookie();
    await browser.get('/admin');
    const csrf = await browser.csrf();
    refuseWrites();
    const done = await browser.post('/sign-out', { csrf });
    expect(done.status).toBe(507);
    const text = await done.text();
    expect(text).toMatch(/role="alert"[^>]*>signed out, but nothing can be written now/);
    expect(text).not.toContain('Signed in as');
    expect(browser.cookies.size).toBe(0);
    expect((await thief.get('/admin')).status).toBe(303);
    expect(await stored()).toBe(1);
  });

  it('ends it on disk once writing works: it is not back when the sessions are read again', async () => {
    const thief = sameCookie();
    const csrf = await browser.csrf();
    refuseWrites();
    await browser.post('/sign-out', { csrf });
    await node.node.hooks.reopened.emitAndWait();
    expect((await thief.get('/admin')).status).toBe(303);
    node.node.refusal.set(undefined);
    node.node.hooks.recovered.emit();
    await expect.poll(stored).toBe(0);
    const { identity } = node.node;
    await node.stop();
    node = await startNode(dir.path, { RATE_LIMIT: 'off' }, identity);
    const again = new FormBrowser(node);
    for (const [name, value] of thief.cookies) again.cookies.set(name, value);
    expect((await again.get('/admin')).status).toBe(303);
  });

  it('of a session that was begun meanwhile leaves nothing behind, and says nothing', async () => {
    refuseWrites();
    const sessions = await node.context.sessions();
    const principal = await node.context.access.authenticate({ apiKey: TEST_KEY });
    const { token, session } = await sessions.start(principal, { by: 'key', agent: 'test' });
    await node.node.hooks.reopened.emitAndWait();
    expect(sessions.find(token)).toBeDefined();
    expect(await sessions.end([session.id])).toBe(1);
    expect([sessions.find(token), await stored()]).toEqual([undefined, 1]);
  });
});
