import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterEach, expect, it, vi } from 'vitest';
import type * as coverageModule from '../../../protocols/digest/coverage.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import type * as schemaModule from '../../../protocols/open-dialog/schema.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { plantDamage } from '../../support/damage.ts';
import type * as inProcess from '../../support/in-process-node.ts';
import type { TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/*
 * Two nodes of different versions, each a program of its own in this process: the newer knows one collection more, `auctions`, and in the second case
 * judges prices by op version 2. What both know alike is compared, and the rest is said to be left out.
 */

const SCHEMA = '../../../protocols/open-dialog/schema.ts';
const COVERAGE = '../../../protocols/digest/coverage.ts';
type Program = Pick<typeof inProcess, 'startNode'>;

/** This program as it is, or as a later version will be; it is that one until another is asked for. */
async function program(change: (() => void) | undefined): Promise<Program> {
  vi.resetModules();
  vi.doUnmock(SCHEMA);
  vi.doUnmock(COVERAGE);
  change?.();
  return import('../../support/in-process-node.ts');
}

const withAuctions = (): void => {
  vi.doMock(SCHEMA, async (original) => {
    const schema = await original<typeof schemaModule>();
    const auctions = { ...schema.COLLECTIONS['prices'], name: 'auctions', required: ['date'] };
    return { ...schema, COLLECTIONS: { ...schema.COLLECTIONS, auctions } };
  });
};
const withPricesOfVersion2 = (): void => {
  vi.doMock(COVERAGE, async (original) => {
    const coverage = await original<typeof coverageModule>();
    const newer = new Map(coverage.OWN_COVERAGE).set('prices', 2);
    return {
      ...coverage,
      OWN_COVERAGE: newer,
      notCompared: (theirs: Map<string, number>) => coverage.notCompared(theirs, newer),
    };
  });
};

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** A node whose API is on a socket; `again` stops it, does this to its folder and starts it with the same identity and URL. */
async function serve({ startNode }: Program, name: string, seed: number) {
  const dir = tempDir(name);
  undo.push(() => dir.remove());
  const start = async (): Promise<TestNode> => {
    const started = await startNode(
      dir.path,
      { RATE_LIMIT: 'off' },
      identityFromSeed(new Uint8Array(32).fill(seed)),
    );
    // What is loaded at its first use must be of this program too, not of the one that comes after it.
    await started.context.doctor.examine();
    await expect(started.context.doctor.diff('nobody', false)).rejects.toThrow('no node nobody');
    return started;
  };
  let node = await start();
  undo.push(() => node.stop());
  const listener = getRequestListener((request) => node.app.fetch(request));
  const server = createServer((i, o) => void listener(i, o)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return {
    node: () => node,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async again(change: (dataDir: string) => Promise<unknown>) {
      await node.stop();
      await change(dir.path);
      node = await start();
    },
  };
}
type Served = Awaited<ReturnType<typeof serve>>;

/** Each follows the other, who is found at these places now. */
async function connect(pair: readonly [Served, Served]): Promise<void> {
  for (const [one, other] of [pair, pair.toReversed()] as [Served, Served][])
    await one.node().node.registry.register(
      {
        caller: other.node().node.identity.peerId,
        nodeUrl: other.url,
        region: '',
        name: '',
        multiaddrs: other.node().addresses,
        schemaVersion: 1,
        tlsFingerprint: '',
      },
      undefined,
      Date.now(),
    );
}

const writeAuction = async (node: TestNode): Promise<void> => {
  const self = node.node.identity.peerId;
  const d = encodeCbor({ date: '2026-01-02' });
  const draft = {
    key: recordKey('auctions', self, 'x'.repeat(43)),
    channel: 'public' as const,
    ops: [encodeOp({ v: 1, c: 'auctions', k: '', t: 'fact', d })],
  };
  await node.node.ledger.write({ keys: [], draft: () => [draft] });
};

const seqOf = (at: TestNode, author: TestNode): number =>
  at.node.store.feeds(author.node.identity.peerId, 'public').reduce((sum, { seq }) => sum + seq, 0);
const sameEntries = (one: TestNode, other: TestNode): boolean =>
  [one, other].every((author) => seqOf(one, author) > 0 && seqOf(one, author) === seqOf(other, author));

async function digestFindings(node: TestNode): Promise<{ severity: string; message: string }[]> {
  await node.node.mycelium.syncNow();
  const { findings } = await node.context.doctor.examine();
  return findings.filter(({ check }) => check === 'digests');
}

/** Writes on both sides, until both hold the same entries. */
async function started(change: () => void) {
  const [newer, older] = [
    await serve(await program(change), 'newer', 1),
    await serve(await program(undefined), 'older', 2),
  ];
  await connect([newer, older]);
  for (const { node } of [newer, older])
    expect((await node().request('POST', '/listings', { type: 'offer', title: 'Maize' })).status).toBe(201);
  return { newer, older };
}

it('a collection that only one of the two knows is no damage; a difference in what both know is', async () => {
  const { newer, older } = await started(withAuctions);
  await writeAuction(newer.node());
  await waitFor('the same entries', () => sameEntries(newer.node(), older.node()), 20_000);
  expect(await newer.node().digest(), 'over all that each knows').not.toBe(await older.node().digest());

  const auctions = { collection: 'auctions' };
  const expected = [
    [newer, older, { ...auctions, here: 1, there: null }, /this version knows it, the peer's does not/],
    [older, newer, { ...auctions, here: null, there: 1 }, /the peer's version knows it, this one does not/],
  ] as const;
  for (const [one, other, leftOut, said] of expected) {
    const { context } = one.node();
    for (const deep of [false, true])
      expect(await context.doctor.diff(other.node().peerId, deep)).toMatchObject({
        same: true,
        damaged: false,
        notCompared: [leftOut],
      });
    const found = await waitFor(
      'a frontier',
      async () => {
        const findings = await digestFindings(one.node());
        return findings.length > 0 ? findings : undefined;
      },
      20_000,
    );
    expect(found).toMatchObject([{ severity: 'info', message: expect.stringMatching(said) }]);
    const health = (await (await one.node().request('GET', '/federation/status')).json()) as {
      federationHealth: unknown[];
    };
    expect(health.federationHealth).toMatchObject([{ notCompared: [leftOut] }]);
  }

  const keys = await plantedIn(older);
  await connect([newer, older]);
  for (const [one, other] of [
    [newer, older],
    [older, newer],
  ] as const) {
    const report = await one.node().context.doctor.diff(other.node().peerId, false);
    expect(report).toMatchObject({ same: false, damaged: true });
    const [owner, ...others] = report.owners.filter(({ verdict }) => verdict !== 'same');
    expect([owner?.verdict, others]).toEqual(['damage', []]);
    expect(
      owner?.collections.flatMap(({ collection, different }) =>
        different.map((id) => `${collection}/${owner.owner}/${id}`),
      ),
    ).toEqual(keys);
    await waitFor(
      'the unequal digest in the findings',
      async () => (await digestFindings(one.node())).some(({ severity }) => severity === 'error'),
      20_000,
    );
  }
}, 90_000);

/** The older node shows another state of one listing than its entries give. */
async function plantedIn(older: Served): Promise<string[]> {
  let keys: string[] = [];
  await older.again(async (dataDir) => {
    keys = await plantDamage(dataDir, 'listings', [0]);
  });
  expect(keys).toHaveLength(1);
  return keys;
}

it('the same collection in another op version is left out, and the others are compared', async () => {
  const { newer, older } = await started(withPricesOfVersion2);
  await waitFor('the same entries', () => sameEntries(newer.node(), older.node()), 20_000);
  expect(await older.node().context.doctor.diff(newer.node().peerId, true)).toMatchObject({
    same: true,
    notCompared: [{ collection: 'prices', here: 1, there: 2 }],
  });
  expect(await newer.node().context.doctor.diff(older.node().peerId, true)).toMatchObject({
    same: true,
    notCompared: [{ collection: 'prices', here: 2, there: 1 }],
  });
  await plantedIn(older);
  await connect([newer, older]);
  expect(await newer.node().context.doctor.diff(older.node().peerId, false)).toMatchObject({ damaged: true });
}, 60_000);
