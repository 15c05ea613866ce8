import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createListAnswers } from '../../../api/list-answers.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

interface Page {
  listings: { listingId: string; title: string; commodity: string }[];
  cursor?: string;
}

describe('pages of listings that are kept', () => {
  const dir = tempDir('list-answers');
  let node: TestNode;
  const ids: string[] = [];
  const get = async (query: string): Promise<Page> => {
    const answer = await node.app.request(`/listings?${query}`);
    expect(answer.headers.get('content-type')).toBe('application/json');
    return (await answer.json()) as Page;
  };
  beforeAll(async () => {
    node = await startNode(dir.path, {});
    for (let i = 0; i < 9; i++) {
      const commodity = i % 3 === 0 ? 'Beans' : 'Maize';
      const body = { type: i % 2 === 0 ? 'offer' : 'request', title: `of ${i}`, commodity };
      const made = (await (await node.request('POST', '/listings', body)).json()) as { listingId: string };
      ids.push(made.listingId);
    }
  });
  afterAll(async () => {
    await node.stop();
    dir.remove();
  });

  it.each([
    ['', 9],
    ['commodity=maize', 6],
    ['commodity=maize&type=offer', 3],
    ['commodity=beans&type=offer', 2],
  ])('walks %j page by page to the same as at once', async (filter, count) => {
    const all = (await get(`${filter}&limit=500`)).listings;
    expect(all).toHaveLength(count);
    for (const limit of [1, 2, 5]) {
      const seen: Page['listings'] = [];
      let cursor: string | undefined;
      do {
        const page = await get(`${filter}&limit=${limit}${cursor === undefined ? '' : `&cursor=${cursor}`}`);
        expect(page.listings.length).toBeLessThanOrEqual(limit);
        seen.push(...page.listings);
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(all);
    }
  });

  it('shows every write from the moment it is acknowledged', async () => {
    const id = ids[4] ?? '';
    for (let price = 1; price <= 20; price++) {
      const title = randomUUID();
      expect((await node.request('PATCH', `/listings/${id}`, { title })).status).toBe(200);
      expect((await get('limit=50')).listings.find(({ listingId }) => listingId === id)?.title).toBe(title);
    }
    const gone = ids[5] ?? '';
    expect((await node.request('DELETE', `/listings/${gone}`)).status).toBe(204);
    expect((await get('limit=50')).listings.map(({ listingId }) => listingId)).not.toContain(gone);
  });
});

describe('createListAnswers', () => {
  function setUp() {
    const state = { version: 1, made: 0, hold: Promise.resolve() };
    const answers = createListAnswers<{ made: number; pad: string }>(() => state.version);
    const app = new Hono().get('/:query/:pad', (c) =>
      answers(c, c.req.param('query'), async () => {
        const made = ++state.made;
        await state.hold;
        return { made, pad: 'x'.repeat(Number(c.req.param('pad'))) };
      }),
    );
    app.onError((error) => {
      throw error;
    });
    const ask = async (query: string, pad = 0): Promise<number> =>
      ((await (await app.request(`/${query}/${pad}`)).json()) as { made: number }).made;
    return { state, ask };
  }

  it('reads a page once until something is written', async () => {
    const { state, ask } = setUp();
    expect([await ask('a'), await ask('a'), await ask('b')]).toEqual([1, 1, 2]);
    state.version++;
    expect([await ask('a'), await ask('a')]).toEqual([3, 3]);
  });

  it('does not keep, or share, what was read while something was written', async () => {
    const { state, ask } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    state.hold = promise;
    const before = [ask('a'), ask('a')];
    await expect.poll(() => state.made).toBe(1);
    state.version++;
    const after = ask('a');
    await expect.poll(() => state.made).toBe(2);
    resolve();
    expect(await Promise.all([...before, after])).toEqual([1, 1, 2]);
    state.version++;
    expect(await ask('a')).toBe(3);
  });

  it('holds a bounded number of bytes', async () => {
    const { state, ask } = setUp();
    for (let i = 0; i < 10; i++) await ask(`q${i}`, 1_000_000);
    expect(state.made).toBe(10);
    expect(await ask('q9', 1_000_000)).toBe(10);
    expect(await ask('q0', 1_000_000)).toBe(11);
    await ask('large', 5_000_000);
    await ask('large', 5_000_000);
    expect(state.made).toBe(13);
  });

  it('keeps no failure', async () => {
    const { state, ask } = setUp();
    state.hold = Promise.reject(new Error('the disk'));
    await expect(ask('a')).rejects.toThrow('the disk');
    state.hold = Promise.resolve();
    expect(await ask('a')).toBe(2);
  });
});
