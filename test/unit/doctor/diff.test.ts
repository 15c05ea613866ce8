import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import { fullKey } from '../../../storage/keyspace.ts';
import { registerHere, startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function startHere(): Promise<TestNode> {
  const dir = tempDir('diff');
  undo.push(() => dir.remove());
  const node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  undo.push(() => node.stop());
  return node;
}

/** Two nodes without a connection: what one has of the other it has pulled. */
async function twoNodes() {
  const here = await startHere();
  const there = await startHere();
  let before = async (_path: string): Promise<void> => undefined;
  const serve = getRequestListener(async (request) => {
    await before(new URL(request.url).pathname);
    return there.app.fetch(request);
  });
  const server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await registerHere(here, there.node.identity.peerId, { nodeUrl: url });
  await registerHere(there, here.node.identity.peerId);
  await there.request('PUT', '/listings/first', { type: 'offer', title: 'first' });
  expect((await here.request('POST', '/federation/pull', { sourceUrl: url })).status).toBeLessThan(300);
  await waitFor(
    'the listing here',
    async () => (await here.request('GET', `/listings/${there.peerId}.first`)).ok,
  );
  return {
    here,
    there,
    diff: async (deep: boolean) => here.context.doctor.diff(there.peerId, deep),
    beforeAnswers: (hook: typeof before): void => {
      before = hook;
    },
  };
}

describe('a row that is gone while the sum over it is not', () => {
  it('is what the plain form says that it has not looked at; the deep one names it', async () => {
    const { here, there, diff } = await twoNodes();
    await here.node.db.level.del(fullKey('records', `listings/${there.peerId}/first`));
    const plain = await diff(false);
    expect(plain).toMatchObject({ same: true, damaged: false, bySums: plain.owners.length });
    expect(plain.bySums).toBeGreaterThan(0);
    const deep = await diff(true);
    expect(deep).toMatchObject({ same: false, damaged: true, bySums: 0 });
    expect(deep.owners.find(({ owner }) => owner === there.peerId)).toMatchObject({
      verdict: 'damage',
      collections: [{ collection: 'listings', onlyThere: ['first'] }],
    });
  });
});

describe('what is written while both are compared', () => {
  it('is no damage: nothing is decided, and the next time both are the same or one lags', async () => {
    const { there, diff, beforeAnswers } = await twoNodes();
    expect(await diff(true)).toMatchObject({ same: true, damaged: false });
    let written = 0;
    beforeAnswers(async (path) => {
      if (!path.startsWith('/federation/digest/') || written++ > 0) return;
      await there.request('PUT', '/listings/second', { type: 'offer', title: 'second' });
    });
    const report = await diff(true);
    expect([written > 0, report.same, report.damaged]).toEqual([true, false, false]);
    expect(report.owners.find(({ owner }) => owner === there.peerId)).toMatchObject({
      frontier: 'equal',
      verdict: 'undecided',
      collections: [{ collection: 'listings', onlyThere: ['second'] }],
    });
    expect((await diff(true)).owners.find(({ owner }) => owner === there.peerId)).toMatchObject({
      frontier: 'there',
      verdict: 'lag',
    });
  });
});
