import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { Hand, randomFrom, someIdentity } from '../../support/forge.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

interface Page {
  readonly ops: readonly { readonly ref: { author: string; seq: number; index: number } }[];
  readonly total: number;
  readonly cursor?: string;
}

describe('the list of pending and rejected ops', () => {
  const dir = tempDir('ops');
  const random = randomFrom(7);
  const [one, two] = [1, 2].map(() => new Hand(someIdentity(random), random.hex(8)));
  let node: TestNode;

  beforeAll(async () => {
    node = await startNode(dir.path);
    for (const hand of [one, two]) {
      if (hand === undefined) throw new Error('no hand');
      const named = {
        nodeUrl: '',
        region: '',
        name: '',
        multiaddrs: [],
        schemaVersion: 1,
        tlsFingerprint: '',
      };
      await node.node.registry.register({ caller: hand.identity.peerId, ...named }, undefined, 0);
      // 800 that are pending for an upgrade and 200 that are rejected, in each of two entries.
      for (let entry = 0; entry < 2; entry++) {
        const unknown = Array.from({ length: 800 }, () => op('from-a-later-version', random.bytes(4)));
        const broken = Array.from({ length: 200 }, () => op('prices', random.bytes(4)));
        const { bytes } = hand.next([...unknown, ...broken]);
        expect(await node.node.ledger.receive([bytes])).toMatchObject([{ kind: 'accept' }]);
      }
    }
  }, 60_000);
  afterAll(async () => {
    await node.stop();
    dir.remove();
  });

  const op = (c: string, d: Uint8Array): Uint8Array => encodeOp({ v: 1, c, k: '', t: 'fact', d });
  async function get(query: string): Promise<Page> {
    const answer = await node.request('GET', `/federation/ops${query}`);
    expect(answer.status, query).toBe(200);
    return (await answer.json()) as Page;
  }
  async function all(query: string): Promise<Page['ops'][number][]> {
    const found = [];
    let cursor: string | undefined;
    do {
      const page: Page = await get(`?limit=300&${query}${cursor === undefined ? '' : `&cursor=${cursor}`}`);
      found.push(...page.ops);
      ({ cursor } = page);
    } while (cursor !== undefined);
    return found;
  }

  it('says how many there are, and gives each once in pages', async () => {
    const first = await get('?limit=1000');
    expect([first.total, first.ops.length, typeof first.cursor]).toEqual([4000, 1000, 'string']);
    const ops = await all('');
    const places = new Set(ops.map(({ ref }) => `${ref.author}|${ref.seq}|${ref.index}`));
    expect([ops.length, places.size]).toEqual([4000, 4000]);
  });

  it('filters by author, state and code', async () => {
    const author = one?.identity.peerId ?? '';
    expect((await get(`?author=${author}`)).total).toBe(2000);
    expect(await all(`author=${author}&state=rejected`)).toHaveLength(400);
    expect((await get('?state=pending')).total).toBe(3200);
    expect((await get('?code=collection-unknown')).total).toBe(3200);
    expect(await get('?code=no-such-code')).toEqual({ ops: [], total: 0 });
    expect((await all(`author=${author}&state=pending`)).every(({ ref }) => ref.author === author)).toBe(
      true,
    );
  });

  it.each(['cursor=rubbish', 'author=nobody', 'state=lost', 'code=%20', 'limit=0'])(
    'refuses %s',
    async (query) => {
      expect((await node.request('GET', `/federation/ops?${query}`)).status).toBe(400);
    },
  );
});
