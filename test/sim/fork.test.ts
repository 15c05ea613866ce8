import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { forkCampaign } from './fork.ts';

const COUNT = Number(process.env.COUNT ?? 40);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));

test('whoever signs other histories with a node’s key, every node ends in the same state and the honest records come back', async () => {
  const figures = await forkCampaign(COUNT, SEED);
  console.info(`forks from seed ${SEED}: ${JSON.stringify(figures)}`);
  expect(figures.schedules).toBe(COUNT);
  expect(figures.reissued).toBeGreaterThan(COUNT / 4);
}, 180_000);

const listing = (title: string) => ({ type: 'offer', title });

async function titles(node: TestNode): Promise<string[]> {
  const answer = await node.request('GET', '/listings?limit=200');
  const { listings } = (await answer.json()) as { listings: { title: string }[] };
  return listings.map(({ title }) => title).sort();
}

test('two processes with one key are found out and alarmed, and what both wrote is on all', async () => {
  const dirs = ['one', 'two', 'third'].map((name) => tempDir(name));
  const nodes: TestNode[] = [];
  try {
    const key = identityFromSeed(randomBytes(32));
    const [one, two, third] = [
      await startNode(dirs[0]?.path ?? '', {}, key),
      await startNode(dirs[1]?.path ?? '', {}, key),
      await startNode(dirs[2]?.path ?? ''),
    ];
    nodes.push(one, two, third);
    // Both are the same peer to the third: it knows where each can be reached.
    await befriend(one, third);
    await befriend(two, third);
    await waitFor(
      'a connection of each',
      () =>
        [one, two].every((node) =>
          node.node.host.libp2p.getConnections().some((c) => c.remotePeer.toString() === third.peerId),
        ),
      20_000,
    );
    const written: string[] = [];
    for (let i = 0; i < 10; i++) {
      for (const [name, node] of [
        ['one', one],
        ['two', two],
        ['third', third],
      ] as const) {
        const title = `${name}-${i}`;
        expect((await node.request('POST', '/listings', listing(title))).status).toBe(201);
        written.push(title);
      }
    }
    written.sort();
    await waitFor(
      'everything on all',
      async () => {
        await Promise.all(nodes.map((node) => node.node.mycelium.syncNow().catch(() => undefined)));
        const all = await Promise.all(nodes.map(titles));
        return all.every((each) => JSON.stringify(each) === JSON.stringify(written));
      },
      30_000,
    );
    const digests = await Promise.all(nodes.map((node) => node.digest()));
    expect(new Set(digests).size).toBe(1);
    for (const node of [one, two])
      expect(node.node.alarms.list().map(({ kind }) => kind)).toContain('own-key-elsewhere');
    expect(third.node.alarms.list()).toEqual([]);
  } finally {
    await Promise.allSettled(nodes.map((node) => node.stop()));
    for (const dir of dirs) dir.remove();
  }
}, 90_000);
