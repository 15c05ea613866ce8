import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { serveApp } from '../../../api/app.ts';
import { GROUPS, PAGES } from '../../../api/groups.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const folder = tempDir('groups');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(folder.path);
});
afterAll(async () => {
  await node.stop();
  folder.remove();
});

const segmentOf = (path: string): string | undefined => path.split('/', 2)[1];

describe('the groups of routes', () => {
  it('name the first segment of each of their paths, and no other', async () => {
    for (const { at, load, segments } of [...GROUPS, ...PAGES]) {
      const { routes } = (await load())(node.context, (query) => node.context.trends.report(query));
      const found = new Set(routes.map(({ path }) => segmentOf(at === '/' ? path : at + path)));
      expect([...found].toSorted(), at).toEqual([...segments].toSorted());
    }
  });
});

describe('the served app', () => {
  const ask = (app: ReturnType<typeof serveApp>, method: string, path: string) =>
    app.fetch(new Request(`http://127.0.0.1${path}`, { method, headers: { 'x-api-key': TEST_KEY } }));

  it('says what to do when its files were replaced meanwhile, and tries again at the next request', async () => {
    const group = GROUPS.find(({ segments }) => segments.includes('prices'));
    if (group === undefined) throw new Error('no group serves prices');
    const load = vi.spyOn(group, 'load').mockRejectedValueOnce(new Error('Cannot find module'));
    const served = serveApp(node.context);
    const refused = await ask(served, 'GET', '/prices');
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({
      code: 'program-changed',
      error: 'the program’s files were replaced or removed while the daemon was running; restart the daemon',
    });
    expect(refused.headers.get('x-request-id')).not.toBeNull();
    expect((await ask(served, 'GET', '/prices')).status).toBe(200);
    expect(load).toHaveBeenCalledTimes(2);
  });

  it('answers every path as the app with all routes does, also the first time and several at once', async () => {
    const served = serveApp(node.context);
    const paths = [
      '/health',
      '/health/',
      '/%68ealth',
      '//health',
      '/listings?limit=1',
      '/listings/none',
      '/federation/identity',
      '/federation/none',
      '/messages/none',
      '/submitRating',
      '/createContract',
      '/api/keys/mine',
      '/api/none',
      '/stream/none',
      '/none',
      '/openapi.json',
      '/',
      '/sign-in',
      '/admin',
      '/admin/none',
      '/assets/none',
      '/status-page',
    ];
    for (const method of ['GET', 'OPTIONS', 'DELETE'])
      await Promise.all(
        paths.map(async (path) => {
          const [here, whole] = await Promise.all([ask(served, method, path), node.request(method, path)]);
          const name = `${method} ${path}`;
          expect(here.status, name).toBe(whole.status);
          expect(here.headers.get('allow'), name).toBe(whole.headers.get('allow'));
          const [mine, theirs] = await Promise.all([here.text(), whole.text()]);
          const plain = (text: string): string => text.replace(/"requestId":"[^"]*"|Request [\w-]+/, '');
          expect(plain(mine), name).toBe(plain(theirs));
        }),
      );
  });

  it('counts the rate of a caller over all groups', async () => {
    const { limits, env } = node.context;
    const passed = async (paths: readonly string[]): Promise<number> => {
      const still = { ...env, monotonic: () => 0 };
      const served = serveApp({ ...node.context, env: still, limits: { ...limits, perSecond: 2 } });
      for (let done = 0; ; done++) {
        const { status } = await ask(served, 'GET', paths[done % paths.length] ?? '');
        if (status === 429) return done;
        expect(status).toBe(200);
      }
    };
    expect(await passed(['/metrics', '/listings', '/prices'])).toBe(await passed(['/listings']));
  });
});
